import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pages.shared.kept import AnswerCache


def test_an_answer_is_computed_once():
    kept, computed = AnswerCache(3), []
    for _ in range(2):
        assert kept.ask("a", lambda: computed.append("a") or 7) == 7
    assert computed == ["a"]
    assert kept.get("a") == 7
    assert kept.get("b") is None


def test_what_was_not_asked_for_longest_leaves_first():
    kept = AnswerCache(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert [kept.get(key) for key in "abc"] == [1, None, 3]
    assert len(kept) == 2
    kept.drop("a")
    kept.drop("a")
    assert kept.requests() == ["c"]


def test_a_second_asker_waits_for_the_first_and_others_do_not():
    kept, computed = AnswerCache(9), []
    begun, go_on = threading.Event(), threading.Event()

    def slow():
        begun.set()
        go_on.wait(10)
        computed.append("slow")
        return 1

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(kept.ask, "slow", slow)
        begun.wait(10)
        second = pool.submit(kept.ask, "slow", slow)
        assert kept.ask("fast", lambda: 2) == 2  # while the other one is being computed
        assert not first.done()
        go_on.set()
        assert first.result(10) == second.result(10) == 1
    assert computed == ["slow"]


def test_what_failed_is_computed_again():
    kept = AnswerCache(2)

    def broken():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        kept.ask("a", broken)
    assert kept.ask("a", lambda: 5) == 5


def test_an_answer_is_dropped_only_where_no_other_took_its_place():
    kept = AnswerCache(2)
    old, new = kept.put("a", [1]), kept.put("a", [2])
    kept.drop("a", only=old)
    assert kept.get("a") is new
    kept.drop("a", only=new)
    assert kept.get("a") is None


def test_what_visitors_bring_does_not_stay_as_a_key():
    kept, pixels = AnswerCache(4), bytes(range(256)) * 12
    kept.put(("bundle", (pixels, 3)), 1)
    assert kept.get(("bundle", (pixels, 3))) == kept.ask(("bundle", (pixels, 3)), lambda: 2) == 1
    assert kept.get(("bundle", (pixels[::-1], 3))) is None
    (request,) = kept.requests()
    assert len(request[1][0]) == 16
    assert kept.get(request) == 1
    kept.drop(("bundle", (pixels, 3)))
    assert not len(kept)
