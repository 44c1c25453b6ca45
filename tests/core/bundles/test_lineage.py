"""All runs that weights went through, as one history."""

from types import SimpleNamespace

import pytest

from core.bundles import lineage

ROWS = [{"epoch": n, "loss": 1 / n, "seconds_total": 10.0 * n} for n in (1, 2, 3)]
OWN = [{"epoch": n, "loss": 0.1, "seconds_total": 2.0 * n} for n in (1, 2)]
FIRST = {"name": "first", "epochs": 3, "minutes": 0.5, "history": ROWS}
SECOND = {"name": "second", "epochs": 4, "minutes": 1.0}


def bundle(*ancestors):
    return SimpleNamespace(
        name="own", config={"training": {"ancestors": list(ancestors)}}, history=OWN
    )


def test_without_ancestors_it_is_the_bundles_own():
    assert lineage.whole_history(bundle()) == OWN
    assert lineage.starts(lineage.parts(bundle())) == [0]


def test_epochs_and_seconds_are_summed_over_all_runs():
    of = bundle(FIRST, SECOND)
    assert lineage.starts(lineage.parts(of)) == [0, 3, 7]
    rows = lineage.whole_history(of)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 7, 8, 9]
    assert [row["seconds_total"] for row in rows] == [10, 20, 30, 90, 92, 94]
    assert ["loss" in row for row in rows] == [True, True, True, False, True, True]


def test_the_clock_stops_where_a_run_does_not_tell_its_seconds():
    rows = lineage.whole_history(bundle({"name": "first", "epochs": 3}))
    assert [row["epoch"] for row in rows] == [3, 4, 5]
    assert not any("seconds_total" in row for row in rows)


@pytest.mark.parametrize(
    "history",
    [
        "many",
        ROWS[:2],  # fewer than its epochs
        [*ROWS[:2], {"epoch": 4, "seconds_total": 1.0}],
        [*ROWS[:2], {"epoch": 3, "seconds_total": float("nan")}],
        [*ROWS[:2], {"epoch": 3, "seconds_total": 10**400}],
        [*ROWS[:2], {"epoch": 3}],
        [1, 2, 3],
    ],
)
def test_a_history_that_is_not_a_row_of_numbers_an_epoch_is_not_held(history):
    (first, _own) = lineage.parts(bundle({**FIRST, "history": history}))
    assert (first.epochs, first.rows) == (3, ())


def test_an_ancestor_that_is_not_told_as_it_should_be_is_left_out():
    strange = [7, {"name": "x"}, {"name": "x", "epochs": -1}, {"name": "x", "epochs": True}]
    assert [one.name for one in lineage.parts(bundle(*strange, SECOND))] == ["second", "own"]
