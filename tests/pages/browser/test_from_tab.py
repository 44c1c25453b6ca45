"""What a tab tells the server without a run of the page."""

import gc

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient

from pages.browser import from_tab
from pages.teach.keeping import Visit
from tests.benchmarks.visitor import done

TAB = "0123456789abcdef" * 2


@pytest.fixture
def client():
    route = Route(from_tab.address("{token}"), from_tab.answer, methods=["POST"])
    return TestClient(Starlette(routes=[route]))


@pytest.fixture
def visit():
    visit = Visit()
    from_tab.LISTENERS[visit.token] = visit
    return visit


def test_a_tab_that_holds_nothing_says_so_without_a_run(client, visit):
    answer = client.post(from_tab.address(visit.token), json=["none", visit.token, None, TAB])
    assert answer.status_code == 204
    assert visit.heard
    assert visit.tab == TAB


def test_what_a_tab_has_stored_is_no_newer_than_the_sheet(client, visit):
    visit.heard, visit.version, visit.stored = True, 3, 1
    for said, stored in ((2, 2), (1, 2), (9, 3)):
        answer = client.post(from_tab.address(visit.token), json=["stored", visit.token, said, TAB])
        assert answer.status_code == 204
        assert visit.stored == stored


@pytest.mark.parametrize(
    "said",
    [
        ["held", "{token}", "{}", TAB],
        ["forbidden", "{token}", None, ""],
        ["full", "{token}", 1, TAB],
        ["stored", "{token}", True, TAB],
        ["stored", "{token}", "1", TAB],
        ["none", "another", None, TAB],
        ["none", "{token}"],
        {"none": 1},
        "none",
    ],
    ids=str,
)
def test_for_all_else_the_page_has_to_run(client, visit, said):
    if isinstance(said, list):
        said = [visit.token if one == "{token}" else one for one in said]
    before = (visit.heard, visit.tab, visit.stored, visit.copy)
    assert client.post(from_tab.address(visit.token), json=said).status_code == 202
    assert (visit.heard, visit.tab, visit.stored, visit.copy) == before


def test_the_page_has_to_run_where_something_waits_for_the_tab(client, visit):
    """A room that the visitor comes into; and a notice that a copy failed, which goes with one that did not."""
    visit.then = lambda: None
    said = ["none", visit.token, None, TAB]
    assert client.post(from_tab.address(visit.token), json=said).status_code == 202
    assert not visit.heard
    visit.then, visit.version = None, 1  # a figure was kept before the tab was heard
    assert client.post(from_tab.address(visit.token), json=said).status_code == 202
    assert not visit.heard
    visit.version, visit.copy = 1, "full"
    said = ["stored", visit.token, 1, TAB]
    assert client.post(from_tab.address(visit.token), json=said).status_code == 202
    assert visit.copy == "full"


def test_a_visit_that_has_ended_hears_nothing(client):
    ends = Visit()
    from_tab.LISTENERS[ends.token] = ends
    place = from_tab.address(ends.token)
    assert client.post(place, json=[]).status_code == 202
    del ends
    gc.collect()
    assert client.post(place, json=[]).status_code == 404
    assert client.post(from_tab.address("guessed"), json=[]).status_code == 404


@pytest.mark.parametrize("more", [["stored", 1], ["none", None]])
def test_whose_tab_it_is_is_said_once(client, visit, more):
    visit.version = 1
    kind, version = more
    for tab in (TAB, "another"):
        said = [kind, visit.token, version, tab]
        visit.stored = visit.version if kind == "none" else 0
        assert client.post(from_tab.address(visit.token), json=said).status_code == 204
        assert visit.tab == TAB


def test_a_request_that_is_cut_is_no_error_of_the_server():
    parts = [
        {"type": "http.request", "body": b"[", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return parts.pop(0)

    scope = {"type": "http", "method": "POST", "headers": [], "path_params": {"token": "x"}}
    found = done(from_tab.answer(Request(scope, receive)))
    assert found.status_code == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"\xff", 400), (b"[" * 900, 400), (b'"' + b"a" * 1000, 413)],
    ids=["empty", "cut", "bytes", "deep", "long"],
)
def test_a_body_that_is_no_answer_is_refused(client, visit, body, status):
    assert client.post(from_tab.address(visit.token), content=body).status_code == status


def test_nothing_is_found_by_get(client, visit):
    assert client.get(from_tab.address(visit.token)).status_code == 405
