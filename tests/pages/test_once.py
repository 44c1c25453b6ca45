"""What a page looks up is looked up once in a run, and anew in the next."""

import threading

import pytest

from pages.shared import library, once


def test_a_run_looks_once_and_the_next_one_anew():
    looks = []

    def look():
        looks.append(1)
        return len(looks)

    for expected in (1, 2):
        with once.in_a_run():
            assert [once.ask("a", look), once.ask("a", look)] == [expected] * 2
    assert [once.ask("a", look), once.ask("a", look)] == [3, 4]  # outside of a run


def test_a_part_within_a_page_shares_its_run():
    with once.in_a_run():
        assert once.ask("a", lambda: 1) == 1
        with once.in_a_run():
            assert once.ask("a", lambda: 2) == 1
        assert once.ask("a", lambda: 3) == 1


def test_what_was_forgotten_is_looked_up_again():
    once.forget("a")  # outside of a run there is nothing to forget
    with once.in_a_run():
        assert once.ask("a", lambda: 1) == 1
        once.forget("a")
        once.forget("b")
        assert once.ask("a", lambda: 2) == 2


def test_runs_of_two_visitors_share_nothing():
    found = []

    def visit(value):
        with once.in_a_run():
            found.append(once.ask("a", lambda: value))

    with once.in_a_run():
        once.ask("a", lambda: 0)
        one = threading.Thread(target=visit, args=(1,))
        one.start()
        one.join()
    assert found == [1]


def test_a_run_that_fails_is_over():
    @once.in_a_run()
    def page():
        once.ask("a", lambda: 1)
        raise ValueError("over")

    with pytest.raises(ValueError, match="over"):
        page()
    assert once.ask("a", lambda: 2) == 2


def test_a_page_looks_at_the_manifest_once(open_page, monkeypatch):
    looks = []
    before = library._manifest_at
    monkeypatch.setattr(library, "_manifest_at", lambda *asked: looks.append(1) or before(*asked))
    open_page("checkpoints")
    assert 1 <= len(looks) <= 2  # the page that is shown first, and this one
