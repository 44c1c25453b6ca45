"""Pages need no more of a bundle than ``core.contents`` declares."""

import json
from copy import deepcopy

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.bundles.bundle import PROGRESS_FILE, read_bundle, required_files
from core.bundles.files import write_json
from core.bundles.manifest import register
from core.bundles.schema import CONFIG
from core.families import FAMILIES, check_contents
from tests.pages.opening import PAGES

DATA = CONFIG["properties"]["data"]["required"]
WHOLE = {"architecture", *CONFIG["required"]} - {"data", "training", "preprocessing"}
"""Parts of ``config.json`` that are kept as they are: a network is built from its architecture."""


def kept(tree, paths):
    """Of nested settings or figures those at these paths alone."""
    found = {}
    for path in paths:
        *folders, name = path.split(".")
        place, of = found, tree
        for folder in folders:
            place, of = place.setdefault(folder, {}), of[folder]
        place[name] = deepcopy(of[name])
    return found


def stripped(bundle, folder):
    """A copy of a bundle in ``folder``, with what is declared and no more; one sheet of each kind."""
    contents = FAMILIES[bundle.family].contents
    paths = {*contents.settings, *contents.counted, *(f"data.{name}" for name in DATA)}
    config = kept(bundle.config, [*sorted(paths), *sorted(WHOLE)]) | {"preprocessing": {}}
    config |= {} if bundle.has_weights else {"weights_kept": False}
    metrics = kept(bundle.metrics, contents.figures)
    for path, columns in contents.tables.items():
        metrics[path] = [kept(row, columns) for row in bundle.metrics[path]]
    folder.mkdir(parents=True)
    for name in set(required_files(bundle.folder)) & {"model.safetensors", "golden.safetensors"}:
        (folder / name).write_bytes((bundle.folder / name).read_bytes())
    write_json(folder / "config.json", config)
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "history.json", [kept(row, contents.epochs) for row in bundle.history])
    arrays = load_file(bundle.folder / "profiles.safetensors")
    few = {name: np.asarray(arrays[name], order="C") for name in contents.arrays}
    save_file(few, folder / "profiles.safetensors")
    (folder / "README.md").write_text("")
    (folder / "progress").mkdir()
    for kind in contents.sheets:
        name = next(file for file in sorted(bundle.sha256) if f"-{kind}." in file)
        assert PROGRESS_FILE.fullmatch(name)
        (folder / name).write_bytes((bundle.folder / name).read_bytes())


@pytest.fixture(scope="module")
def bare(tiny_library, tmp_path_factory):
    """The library of the tests, every bundle of it stripped to what is declared."""
    root = tmp_path_factory.mktemp("bare")
    for entry in json.loads((tiny_library / "manifest.json").read_text())["bundles"]:
        folder = root / entry["name"]
        stripped(read_bundle(tiny_library / entry["folder"]), folder)
        bundle = read_bundle(folder)
        check_contents(bundle)
        register(root / "manifest.json", bundle, name=entry["name"], title=entry["title"])
    return root


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_with_what_is_declared_alone(open_page, bare, monkeypatch, page):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(bare))
    open_page(page)
