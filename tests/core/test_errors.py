from core.errors import AtelierError


def test_an_error_reads_as_its_filled_sentence():
    error = AtelierError("bundle-hash", "{file} of {name} differs.", file="a.json", name="x {y}")
    assert str(error) == "a.json of x {y} differs."
    assert error.code == "bundle-hash"
    assert error.template.format(**error.values) == str(error)
