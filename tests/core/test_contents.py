"""What the pages of a family need is looked for when a bundle is opened."""

import json
from dataclasses import replace

import numpy as np
import pytest

from core.bundles.bundle import read_bundle
from core.bundles.manifest import CHECKPOINTS
from core.errors import AtelierError
from core.families import FAMILIES, check_contents, read_manifest

MANIFEST = read_manifest(CHECKPOINTS / "manifest.json")
WHOLE = {family: MANIFEST.of_family(family)[0].name for family in FAMILIES}


@pytest.fixture(scope="module")
def bundles():
    return {family: read_bundle(CHECKPOINTS / name) for family, name in WHOLE.items()}


def altered(bundle, **parts):
    """The bundle with other parts; ``profiles`` as well, which a bundle reads when asked."""
    profiles = parts.pop("profiles", None)
    found = replace(bundle, **parts)
    if profiles is not None:
        found.__dict__["profiles"] = profiles
    return found


def refusal(bundle):
    with pytest.raises(AtelierError) as caught:
        check_contents(bundle)
    return caught.value


@pytest.mark.parametrize(
    "entry", [*filter(MANIFEST.embedded_folder, MANIFEST.entries)], ids=lambda e: e.name
)
def test_what_our_own_runs_leave_is_whole(entry):
    check_contents(read_bundle(MANIFEST.embedded_folder(entry)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("metrics", [{}, {"test": []}, {"test": {"kl": "much"}}], ids=str)
def test_figures_that_are_missing_or_no_numbers_are_named(family, metrics, bundles):
    error = refusal(altered(bundles[family], metrics=metrics))
    assert error.code == "bundle-lacks"
    assert "metrics.json" in str(error)
    assert FAMILIES[family].contents.figures[0] in str(error)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("history", [[], ["a", "b"], [{}], [{"epoch": float("nan")}]], ids=str)
def test_epochs_that_are_missing_or_no_numbers_are_named(family, history, bundles):
    error = refusal(altered(bundles[family], history=history))
    assert error.code == "bundle-lacks"
    assert "history.json" in str(error)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "spoilt",
    [
        lambda _array: None,
        lambda array: array[..., None],
        lambda array: array[:0],
        lambda array: np.full(array.shape, np.nan),
        lambda array: array.astype(bool),
    ],
    ids=["absent", "other shape", "empty", "nan", "no numbers"],
)
def test_arrays_that_pages_cannot_draw_are_named(family, spoilt, bundles):
    name = next(iter(FAMILIES[family].contents.arrays))
    held = {**bundles[family].profiles, name: spoilt(bundles[family].profiles[name])}
    held = {key: value for key, value in held.items() if value is not None}
    error = refusal(altered(bundles[family], profiles=held))
    assert error.code == "bundle-lacks"
    assert name in str(error)


@pytest.mark.parametrize("name", FAMILIES["vae"].contents.partial)
def test_a_class_without_pictures_and_a_model_without_components_are_shown(name, bundles):
    held = bundles["vae"].profiles
    gap = held[name].copy()
    gap[0] = np.nan
    check_contents(altered(bundles["vae"], profiles={**held, name: gap}))
    check_contents(altered(bundles["vae"], profiles={**held, name: gap[:, :0]}))


@pytest.mark.parametrize("family", [name for name in FAMILIES if FAMILIES[name].contents.sheets])
def test_sheets_that_are_missing_are_named(family, bundles):
    bundle = bundles[family]
    for kind in FAMILIES[family].contents.sheets:
        left = {file: value for file, value in bundle.sha256.items() if f"-{kind}." not in file}
        assert kind in str(refusal(altered(bundle, sha256=left)))


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_that_pages_name_are_needed(family, bundles):
    config = bundles[family].config
    error = refusal(altered(bundles[family], config={**config, "training": {}}))
    assert error.code == "bundle-config"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [None, "many", 0, -1, True, [8], 10**400], ids=str)
def test_settings_that_pages_compute_with_are_numbers_above_0(family, value, bundles):
    for path in FAMILIES[family].contents.counted:
        config = json.loads(json.dumps(bundles[family].config))
        *folders, name = path.split(".")
        place = config
        for folder in folders:
            place = place[folder]
        place[name] = value
        error = refusal(altered(bundles[family], config=config))
        assert error.code == "bundle-config"
        assert path in str(error)


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", []), ("pictures", "many"), ("pictures", -1), ("class_names", ["a", []])],
    ids=str,
)
def test_what_a_bundle_says_of_its_data_is_what_the_schema_wants(field, value, bundles):
    config = bundles["vae"].config
    about = {**config["data"], field: value}
    error = refusal(altered(bundles["vae"], config={**config, "data": about}))
    assert error.code == "bundle-config"
    assert f"data.{field}" in str(error)


def test_a_whole_number_beyond_every_float_is_no_figure(bundles):
    figures = bundles["vae"].metrics
    spoilt = {**figures, "test": {**figures["test"], "kl": 10**400}}
    assert "test.kl" in str(refusal(altered(bundles["vae"], metrics=spoilt)))


def test_a_table_of_figures_has_rows_of_numbers(bundles):
    figures = bundles["vae"].metrics
    for table in ([], [{}], [{"K": 1, "nll": None, "pictures": 3}], "none"):
        spoilt = altered(bundles["vae"], metrics={**figures, "importance_weighted": table})
        assert "importance_weighted" in str(refusal(spoilt))


@pytest.mark.parametrize(
    "text", [b"# caf\xe9\n", b"\xff\xfe", b"# \x80"], ids=["latin", "bom", "x80"]
)
def test_a_card_in_another_encoding_is_named(text, tmp_path, bundles):
    for file in bundles["judge"].sha256:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes((bundles["judge"].folder / file).read_bytes())
    (tmp_path / "README.md").write_bytes(text)
    with pytest.raises(AtelierError, match=r"README\.md") as caught:
        read_bundle(tmp_path)
    assert caught.value.code == "bundle-damaged"
