import pytest

from core.errors import AtelierError, recognise_memory_error


def test_an_error_reads_as_its_filled_sentence():
    error = AtelierError("bundle-hash", "{file} of {name} differs.", file="a.json", name="x {y}")
    assert str(error) == "a.json of x {y} differs."
    assert error.code == "bundle-hash"
    assert error.template.format(**error.values) == str(error)


@pytest.mark.parametrize(
    "error", [ValueError("no"), RuntimeError("no"), SystemExit(), OSError(28, "full")]
)
def test_an_error_of_another_kind_than_memory_is_left_as_it_is(error):
    assert recognise_memory_error(error) is error


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("out of memory")])
def test_where_there_was_no_memory_there_is_a_sentence(error):
    assert recognise_memory_error(error).code == "memory"
    assert str(recognise_memory_error(error)).endswith(".")
