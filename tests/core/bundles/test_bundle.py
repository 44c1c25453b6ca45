import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from core.bundles import bundle as bundles
from core.bundles.bundle import read_bundle, write_bundle
from core.bundles.manifest import Manifest, register
from core.bundles.weights import check_golden, load_weights, stored_weights
from core.errors import AtelierError
from core.families import open_bundle, read_manifest
from core.pictures.images import sheet_bytes
from core.vae.model import VAE
from core.vae.networks import VAEConfig

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HOMEWORK = VAEConfig(architecture="homework", channels=(4, 4, 8, 8), latent_dim=5)


def made(config):
    torch.manual_seed(1)
    model = VAE(config)
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.1)
    model.train()(torch.rand(8, 3, 32, 32))
    return model.eval()


def written(folder, model, **changes):
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    weights = stored_weights(model)
    stored = VAE(model.config).eval()
    stored.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    with torch.no_grad():
        mean = stored.encode(x).mean
    parts = {
        "config": {
            "family": "vae",
            "architecture": model.architecture(),
            "preprocessing": {},
            "data": {},
            "training": {},
            "seed": 0,
            "code_version": "unknown",
        },
        "weights": weights,
        "history": [{"epoch": 1, "seconds": 0.5}],
        "metrics": {"test": {"nll": 2900.0}},
        "profiles": {"unit": np.arange(3, dtype=np.float16)},
        "golden": {"input.x": x.numpy(), "output.mean": mean.numpy()},
        "progress": {
            name: sheet_bytes(np.zeros((2, 32, 32, 3), np.uint8), 2)
            for name in ("epoch-0010-samples.jpg", "epoch-0005-samples.jpg", "epoch-0005-best.jpg")
        },
        "card": "# A card\n",
    }
    return write_bundle(folder, **{**parts, **changes})


def means(model, inputs):
    with torch.no_grad():
        return {"mean": model.encode(inputs["x"]).mean}


@pytest.fixture
def model(tiny):
    return made(tiny)


@pytest.fixture
def bundle(model, tmp_path):
    return written(tmp_path / "vae", model)


def refusal(function, *arguments, **keywords):
    with pytest.raises(AtelierError) as caught:
        function(*arguments, **keywords)
    assert str(caught.value).endswith(".")
    return caught.value.code


def edit(bundle, file, change):
    path = bundle.folder / file
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def edit_arrays(bundle, file, change):
    arrays = load_file(bundle.folder / file)
    change(arrays)
    save_file(arrays, bundle.folder / file)


def test_everything_written_is_read_back(bundle, model):
    read = open_bundle(str(bundle.folder))
    assert read.config["architecture"] == model.architecture()
    assert read.history == [{"epoch": 1, "seconds": 0.5}]
    assert read.metrics == {"test": {"nll": 2900.0}}
    assert read.card == "# A card\n"
    assert read.profiles["unit"].tolist() == [0, 1, 2]
    assert read.profiles["unit"].dtype == np.float32
    assert (read.family, read.name, read.origin, read.verified) == ("vae", "vae", "folder", False)
    assert read.digest == bundle.digest
    assert read.bytes == sum(p.stat().st_size for p in bundle.folder.rglob("*") if p.is_file())


def test_progress_sheets_are_found_by_kind_in_the_order_of_epochs(bundle):
    assert list(bundle.progress("samples")) == [5, 10]
    assert [path.name for path in bundle.progress("best").values()] == ["epoch-0005-best.jpg"]
    assert bundle.progress("worst") == {}


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (None, ()),
        ([], ()),
        ([{"name": "a", "epochs": 50, "digest": "x"}], (("a", 50),)),
        ([{"name": "a", "epochs": 50}, {"name": "b", "epochs": 3}], (("a", 50), ("b", 3))),
        (
            [{"name": "a", "epochs": "many"}, {"epochs": 2}, 7, {"name": "b", "epochs": 1}],
            (("b", 1),),
        ),
        ("a", ()),
    ],
)
def test_what_weights_went_on_from_is_read_as_far_as_it_is_told(tmp_path, model, told, found):
    folder = tmp_path / "went-on"
    written(folder, model)
    config = json.loads((folder / "config.json").read_text())
    config["training"] = {} if told is None else {"ancestors": told}
    (folder / "config.json").write_text(json.dumps(config))
    assert read_bundle(folder).ancestors == found


def test_a_bundle_holds_no_pickle_and_no_code(bundle):
    files = [path for path in bundle.folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors", ".md", ".jpg"}
    assert not [
        path for path in files if path.read_bytes()[:2] in (b"PK", b"\x80\x02", b"\x80\x04")
    ]


def test_the_digest_changes_with_every_file(bundle):
    digests = {bundle.digest}
    for file in bundle.sha256:
        with open(bundle.folder / file, "ab") as opened:
            opened.write(b"\n")
        digests.add(read_bundle(bundle.folder).digest)
    assert len(digests) == len(bundle.sha256) + 1 == 11


def test_a_file_that_does_not_match_its_hash_is_refused(bundle):
    assert read_bundle(bundle.folder, expected=bundle.sha256).verified
    for file in bundle.sha256:
        other = {**bundle.sha256, file: "0" * 64}
        assert refusal(read_bundle, bundle.folder, expected=other) == "bundle-hash"


@pytest.mark.parametrize("file", bundles.REQUIRED_FILES)
def test_a_required_file_without_a_hash_is_not_taken_on_trust(bundle, file):
    partial = {name: value for name, value in bundle.sha256.items() if name != file}
    assert refusal(read_bundle, bundle.folder, expected=partial) == "bundle-hash"
    assert refusal(read_bundle, bundle.folder, expected={}) == "bundle-hash"


@pytest.mark.parametrize("file", bundles.REQUIRED_FILES)
def test_a_missing_file_is_named(bundle, file):
    (bundle.folder / file).unlink()
    with pytest.raises(AtelierError, match=f"lacks {file}") as caught:
        open_bundle(bundle.folder)
    assert caught.value.code == "bundle-incomplete"


def test_a_promised_progress_sheet_that_is_missing_is_refused(bundle):
    (bundle.folder / "progress" / "epoch-0005-best.jpg").unlink()
    code = refusal(read_bundle, bundle.folder, expected=bundle.sha256)
    assert code == "bundle-incomplete"


@pytest.mark.parametrize("file", ["config.json", "history.json", "metrics.json"])
@pytest.mark.parametrize("text", ["", "{", "3", '"a"', "\u00ff", "[" * 200_000, '{"a":' * 200_000])
def test_damaged_json_is_refused(bundle, file, text):
    (bundle.folder / file).write_text(text, encoding="latin-1")
    assert refusal(open_bundle, bundle.folder) == "bundle-damaged"


@pytest.mark.parametrize("file", ["config.json", "history.json", "metrics.json"])
@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 30, "-" + "9" * 400, "9" * 6000],
    ids=lambda number: number[:9],
)
def test_a_number_that_no_float_holds_is_refused(bundle, file, number):
    text = '{"seed": 0, "more": [%s]}' if file != "history.json" else '[{"epoch": %s}]'
    (bundle.folder / file).write_text(text % number)
    assert refusal(open_bundle, bundle.folder) == "bundle-damaged"


@pytest.mark.parametrize("way", ["a folder", "a link to nowhere"])
def test_a_sheet_that_is_no_file_is_none(bundle, way):
    sheet = bundle.folder / "progress" / "epoch-0005-best.jpg"
    sheet.unlink()
    sheet.mkdir() if way == "a folder" else sheet.symlink_to(bundle.folder / "nowhere")
    assert open_bundle(bundle.folder).progress("best") == {}
    assert refusal(read_bundle, bundle.folder, expected=bundle.sha256) == "bundle-incomplete"


def test_a_file_that_may_not_be_read_is_named(bundle, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(bundles, "sha256", refused)
    assert refusal(open_bundle, bundle.folder) == "bundle-damaged"


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "F8_E5M2"])
def test_arrays_of_a_type_that_numpy_has_not_are_refused(bundle, kind):
    file = bundle.folder / "profiles.safetensors"
    size = 1 if kind.startswith("F8") else 2
    about = {"unit": {"dtype": kind, "shape": [3], "data_offsets": [0, 3 * size]}}
    said = json.dumps(about).encode()
    file.write_bytes(len(said).to_bytes(8, "little") + said + bytes(3 * size))
    found = open_bundle(bundle.folder)
    assert refusal(getattr, found, "profiles") == "bundle-damaged"


def test_another_format_is_refused(bundle):
    edit(bundle, "config.json", lambda config: config.update(format=2))
    assert refusal(open_bundle, bundle.folder) == "bundle-format"


@pytest.mark.parametrize("field", sorted(bundles.CONFIG_FIELDS))
def test_a_config_without_a_field_is_refused(bundle, field):
    edit(bundle, "config.json", lambda config: config.pop(field))
    with pytest.raises(AtelierError, match=field) as caught:
        open_bundle(bundle.folder)
    assert caught.value.code == "bundle-config"


def test_another_family_is_refused(bundle):
    edit(bundle, "config.json", lambda config: config.update(family="ddpm"))
    assert open_bundle(bundle.folder).family == "ddpm"
    assert refusal(VAE.from_pretrained, bundle.folder) == "bundle-family"


@pytest.mark.parametrize(
    "wrong", [{"latent_dim": 0}, {"architecture": "other"}, {"depth": 3}, {"channels": "wide"}]
)
def test_an_architecture_that_does_not_exist_is_refused(bundle, wrong):
    edit(bundle, "config.json", lambda config: config["architecture"].update(wrong))
    assert refusal(VAE.from_pretrained, bundle.folder) == "bundle-config"


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("mean.bias"),
        lambda arrays: arrays.update(stranger=np.zeros(1, np.float16)),
        lambda arrays: arrays.update({"mean.bias": np.zeros(5, np.float16)}),
        lambda arrays: arrays.update({"mean.bias": np.zeros((4, 1), np.float16)}),
    ],
    ids=["missing", "extra", "longer", "other-shape"],
)
def test_weights_that_do_not_fit_are_refused(bundle, change):
    edit_arrays(bundle, "model.safetensors", change)
    assert refusal(VAE.from_pretrained, bundle.folder) == "bundle-weights"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(bundle, value):
    edit_arrays(bundle, "model.safetensors", lambda arrays: arrays["mean.bias"].fill(value))
    assert refusal(VAE.from_pretrained, bundle.folder) == "bundle-damaged"


@pytest.mark.parametrize("kept", [0, 4, 100, -7])
def test_truncated_weights_are_refused(bundle, kept):
    path = bundle.folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert refusal(VAE.from_pretrained, bundle.folder) == "bundle-damaged"


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("architecture", ["residual", "homework"])
def test_from_pretrained_gives_the_model_rounded_to_float16(tiny, tmp_path, layout, architecture):
    model = made(tiny if architecture == "residual" else HOMEWORK)
    folder = written(tmp_path / "vae", model.to(memory_format=layout)).folder
    loaded = VAE.from_pretrained(folder)
    rounded = VAE(model.config).eval()
    rounded.load_state_dict(
        {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    )
    x = torch.rand(3, 3, 32, 32)
    assert not loaded.training
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    for found, expected in zip(
        loaded(x, generator=torch.Generator().manual_seed(0)),
        rounded(x, generator=torch.Generator().manual_seed(0)),
        strict=True,
    ):
        assert torch.equal(found, expected)


def test_arrays_come_back_whatever_their_order_in_memory(model, tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    profiles = {"rows": values, "columns": np.asfortranarray(values), "strided": values[:, ::2]}
    read = written(tmp_path / "vae", model, profiles=profiles).profiles
    assert np.array_equal(read["rows"], values)
    assert np.array_equal(read["columns"], values)
    assert np.array_equal(read["strided"], values[:, ::2])


def test_the_golden_output_is_given(bundle):
    model = VAE.from_pretrained(bundle.folder)
    deviation = check_golden(bundle, lambda inputs: means(model, inputs))
    assert deviation <= 1e-5


def test_a_changed_weight_does_not_give_the_golden_output(bundle):
    edit_arrays(
        bundle,
        "model.safetensors",
        lambda arrays: np.add(arrays["mean.bias"], np.float16(0.01), out=arrays["mean.bias"]),
    )
    model = VAE.from_pretrained(bundle.folder)
    code = refusal(check_golden, bundle, lambda inputs: means(model, inputs))
    assert code == "bundle-golden"


def test_an_output_that_is_no_number_is_not_the_golden_one(bundle):
    code = refusal(check_golden, bundle, lambda inputs: {"mean": torch.full((2, 4), float("nan"))})
    assert code == "bundle-golden"


@pytest.mark.parametrize("outputs", [{}, {"mean": torch.zeros(1)}])
def test_an_absent_or_misshapen_output_is_not_the_golden_one(bundle, outputs):
    assert refusal(check_golden, bundle, lambda inputs: outputs) == "bundle-damaged"


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("input.x"),
        lambda arrays: arrays.update({"input.x": arrays["input.x"][None]}),
        lambda arrays: arrays.update({"input.x": arrays["input.x"] > 0}),
        lambda arrays: arrays.update({"output.mean": arrays["output.mean"] > 0}),
    ],
    ids=["gone", "deeper", "booleans", "booleans-out"],
)
def test_golden_tensors_that_no_network_takes_are_refused(bundle, change):
    model = VAE.from_pretrained(bundle.folder)
    edit_arrays(bundle, "golden.safetensors", change)
    assert refusal(check_golden, bundle, lambda inputs: means(model, inputs)) == "bundle-damaged"


def test_golden_tensors_without_an_output_prove_nothing(bundle):
    edit_arrays(bundle, "golden.safetensors", lambda arrays: arrays.pop("output.mean"))
    assert refusal(check_golden, bundle, lambda inputs: {}) == "bundle-damaged"


def test_only_the_arrays_of_the_bundle_are_read(bundle):
    for file in ("config.json", "../vae/model.safetensors"):
        with pytest.raises(ValueError, match=r"^file must"):
            bundle.arrays(file)


def test_a_failed_write_keeps_the_old_bundle(bundle, model):
    with pytest.raises(ValueError, match="progress must be named"):
        written(bundle.folder, model, progress={"../evil.jpg": b""})
    assert read_bundle(bundle.folder, expected=bundle.sha256).digest == bundle.digest
    assert [path.name for path in bundle.folder.parent.iterdir()] == ["vae"]


def test_metrics_that_are_no_numbers_are_not_written(tmp_path, model):
    with pytest.raises(ValueError, match="JSON"):
        written(tmp_path / "vae", model, metrics={"nll": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["nowhere", "a/b/c", "/no/such", "https://example.org/a/b"])
def test_a_place_that_is_neither_folder_nor_repository_is_refused(place):
    assert refusal(open_bundle, place) == "bundle-missing"


# ---------------------------------------------------------------- records


@pytest.fixture
def record(model, tmp_path):
    return written(tmp_path / "record", model, weights=None, golden=None)


def test_a_record_is_a_bundle_without_weights(record, bundle):
    assert not record.has_weights
    assert bundle.has_weights
    assert record.config["weights_kept"] is False
    assert "weights_kept" not in bundle.config
    files = {path.relative_to(record.folder).as_posix() for path in record.folder.rglob("*.*")}
    assert files == set(record.sha256)
    assert set(bundle.sha256) - set(record.sha256) == {"model.safetensors", "golden.safetensors"}
    assert set(record.sha256) < set(bundle.sha256)


def test_all_but_weights_of_a_record_is_read_back(record, bundle):
    read = open_bundle(record.folder, family="vae")
    assert (read.history, read.metrics, read.card) == (bundle.history, bundle.metrics, bundle.card)
    assert read.config == {**bundle.config, "weights_kept": False}
    assert read.profiles["unit"].tolist() == [0, 1, 2]
    assert list(read.progress("samples")) == [5, 10]
    assert read.digest == record.digest != bundle.digest


def test_a_record_has_no_weights_to_load_and_no_golden_output(record, model):
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    assert refusal(load_weights, model, record) == "bundle-record"
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    asked = []
    assert refusal(check_golden, record, asked.append) == "bundle-record"
    assert asked == []
    assert refusal(VAE.from_pretrained, record.folder) == "bundle-record"
    for file in bundles.WEIGHT_FILES:
        with pytest.raises(ValueError, match=r"^file must"):
            record.arrays(file)


@pytest.mark.parametrize("file", ["model.safetensors", "golden.safetensors"])
def test_weights_beside_a_record_are_not_read(record, bundle, file):
    shutil.copyfile(bundle.folder / file, record.folder / file)
    read = open_bundle(record.folder)
    assert file not in read.sha256
    assert read.digest == record.digest
    with pytest.raises(ValueError, match=r"^file must"):
        read.arrays(file)


def test_a_bundle_with_weights_never_says_that_it_has_none(record, tmp_path, model):
    again = written(tmp_path / "vae", model, config={**record.config})
    assert again.has_weights
    assert "weights_kept" not in again.config


def test_weights_and_golden_output_are_kept_both_or_neither(tmp_path, model):
    for wrong in ({"weights": None}, {"golden": None}):
        with pytest.raises(ValueError, match=r"^weights and golden must be given both, or neither"):
            written(tmp_path / "vae", model, **wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", bundles.WEIGHT_FILES)
@pytest.mark.parametrize("kept", [None, True, "false", 0, [False]])
def test_a_bundle_that_lost_its_weights_is_no_record(bundle, file, kept):
    """Only ``false`` says that they were not kept."""
    edit(bundle, "config.json", lambda config: config.update(weights_kept=kept))
    assert open_bundle(bundle.folder).has_weights
    (bundle.folder / file).unlink()
    with pytest.raises(AtelierError, match=file) as caught:
        open_bundle(bundle.folder)
    assert caught.value.code == "bundle-incomplete"


@pytest.mark.parametrize("file", sorted(set(bundles.REQUIRED_FILES) - set(bundles.WEIGHT_FILES)))
def test_a_record_that_lacks_anything_else_is_refused(record, file):
    (record.folder / file).unlink()
    assert refusal(open_bundle, record.folder) == "bundle-incomplete"


def test_the_files_that_are_required_follow_from_the_configuration(record, bundle, tmp_path):
    assert bundles.required_files(bundle.folder) == bundles.REQUIRED_FILES
    expected = [name for name in bundles.REQUIRED_FILES if name not in bundles.WEIGHT_FILES]
    assert list(bundles.required_files(record.folder)) == expected
    assert len(expected) == 5
    assert bundles.required_files(tmp_path / "nowhere") == bundles.REQUIRED_FILES
    for text in ("", "[]", "{", "null", '"weights_kept"'):
        (record.folder / "config.json").write_text(text)
        assert bundles.required_files(record.folder) == bundles.REQUIRED_FILES


def test_a_record_takes_the_place_of_the_bundle_it_was_made_of(bundle, model):
    made = written(bundle.folder, model, weights=None, golden=None)
    assert not (bundle.folder / "model.safetensors").exists()
    assert open_bundle(bundle.folder).digest == made.digest


def test_a_check_is_asked_of_a_record_too(tmp_path, model):
    seen = []
    written(tmp_path / "a", model, weights=None, golden=None, check=lambda b: seen.append(b.name))
    assert seen == ["a"]


def test_a_registered_record_opens_verified(record, tmp_path):
    entry = register(tmp_path / "manifest.json", record, name="vae-r", title="R")
    assert not set(entry.sha256) & set(bundles.WEIGHT_FILES)
    opened = read_manifest(tmp_path / "manifest.json").open("vae-r")
    assert (opened.verified, opened.has_weights, opened.name) == (True, False, "vae-r")
    assert opened.digest == record.digest
    edit(record, "metrics.json", lambda metrics: metrics["test"].update(nll=1.0))
    assert refusal(read_manifest(tmp_path / "manifest.json").open, "vae-r") == "bundle-hash"


def test_a_registered_bundle_cannot_pass_for_a_record(bundle, tmp_path):
    register(tmp_path / "manifest.json", bundle, name="vae-a", title="A")
    edit(bundle, "config.json", lambda config: config.update(weights_kept=False))
    assert refusal(read_manifest(tmp_path / "manifest.json").open, "vae-a") == "bundle-hash"
    (bundle.folder / "model.safetensors").unlink()
    assert refusal(read_manifest(tmp_path / "manifest.json").open, "vae-a") == "bundle-incomplete"


def test_a_registered_record_cannot_pass_for_a_bundle(record, tmp_path):
    register(tmp_path / "manifest.json", record, name="vae-r", title="R")
    edit(record, "config.json", lambda config: config.pop("weights_kept"))
    assert refusal(read_manifest(tmp_path / "manifest.json").open, "vae-r") == "bundle-incomplete"


# ---------------------------------------------------------------- the manifest


def manifest_with(tmp_path, **changes):
    entry = {"name": "a", "family": "vae", "title": "A", "sha256": {}, "folder": "a"} | changes
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"format": 1, "bundles": [entry]}))
    return path


def test_an_absent_manifest_is_an_empty_one(tmp_path):
    assert read_manifest(tmp_path / "manifest.json") == Manifest(tmp_path, ())


@pytest.mark.parametrize(
    "changes",
    [
        {"folder": "../a"},
        {"folder": "/etc"},
        {"folder": "a/../../b"},
        {"sha256": {"../../secret": "0" * 64}},
        {"sha256": {"/etc/passwd": "0" * 64}},
    ],
)
def test_a_manifest_that_points_outside_its_folder_is_refused(tmp_path, changes):
    assert refusal(read_manifest, manifest_with(tmp_path, **changes)) == "manifest-damaged"


@pytest.mark.parametrize("revision", [None, "main", COMMIT[:-1], COMMIT.upper(), COMMIT + "0"])
def test_a_repository_without_a_pinned_revision_is_refused(tmp_path, revision):
    path = manifest_with(tmp_path, repo="user/name", revision=revision)
    assert refusal(read_manifest, path) == "manifest-damaged"


def test_a_pinned_repository_is_accepted(tmp_path):
    path = manifest_with(tmp_path, repo="user/name", revision=COMMIT)
    assert read_manifest(path).entry("a").revision == COMMIT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"bundles": 3}',
        "[" * 200_000,
        '{"bundles": [{}]}',
        '{"bundles": [{"name": "a", "family": "vae", "title": "A", "sha256": null}]}',
        '{"bundles": [{"name": "a", "family": "vae", "title": "A", "sha256": {}, "run": "x"}]}',
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path, text):
    path = tmp_path / "manifest.json"
    path.write_text(text)
    assert refusal(read_manifest, path) == "manifest-damaged"


def test_a_registered_bundle_opens_verified(bundle, tmp_path):
    register(tmp_path / "manifest.json", bundle, name="vae-a", title="A")
    opened = read_manifest(tmp_path / "manifest.json").open("vae-a")
    assert (opened.name, opened.origin, opened.verified) == ("vae-a", "embedded", True)
    assert opened.digest == bundle.digest


def test_a_registered_bundle_that_changed_since_is_refused(bundle, tmp_path):
    register(tmp_path / "manifest.json", bundle, name="vae-a", title="A")
    edit(bundle, "metrics.json", lambda metrics: metrics["test"].update(nll=1.0))
    assert refusal(read_manifest(tmp_path / "manifest.json").open, "vae-a") == "bundle-hash"


def test_registering_again_replaces_the_entry_and_keeps_the_others(bundle, tmp_path):
    path = tmp_path / "manifest.json"
    for name, title in (("b", "B"), ("a", "old"), ("a", "new")):
        register(path, bundle, name=name, title=title)
    manifest = read_manifest(path)
    assert [(entry.name, entry.title) for entry in manifest.entries] == [("a", "new"), ("b", "B")]
    assert manifest.of_family("vae") == list(manifest.entries)
    assert manifest.of_family("ddpm") == []


def test_a_name_the_manifest_does_not_have_is_refused(tmp_path):
    assert refusal(read_manifest(tmp_path / "manifest.json").entry, "x") == "manifest-name"


def test_an_entry_whose_folder_is_gone_is_reported(tmp_path):
    assert refusal(read_manifest(manifest_with(tmp_path)).open, "a") == "bundle-missing-embedded"


def test_an_entry_whose_folder_is_gone_is_sought_on_the_hub(tmp_path):
    path = manifest_with(tmp_path, repo="user/name", revision=COMMIT)
    assert refusal(read_manifest(path).open, "a") == "hub-unreachable"


def test_the_small_bundle_is_whole(tiny_bundle, tmp_path):
    copy = shutil.copytree(tiny_bundle, tmp_path / "copy")
    assert open_bundle(copy).digest == open_bundle(tiny_bundle).digest
    assert VAE.from_pretrained(tiny_bundle).sample(2).shape == (2, 3, 32, 32)
