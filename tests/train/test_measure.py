import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

from core.errors import AtelierError
from core.families import family_of, open_bundle
from train.__main__ import main
from train.ddpm import bundle as ddpm_bundle
from train.ddpm import layer_probe, way
from train.families import TRAINED, trained_family_of
from train.judge import judged
from train.release import verify

CPU = torch.device("cpu")
FEW = {
    "SAMPLES": 7,
    "TOLD_APART": 6,
    "T_STAR_STEPS": 6,
    "T_STAR_PLACES": (1, 2, 3, 4),
    "T_STAR_DRAWS": 2,
    "T_STAR_PICTURES": 5,
    "PURIFIED_STEPS": 6,
    "PURIFIED_PLACES": (1, 3),
    "PURIFIED_PICTURES": 6,
    "PGD_STEPS": 2,
}
OF_SAMPLES = {"judged_digits", "judged_digits_of_test"}
OF_THE_WAY_BACK = {
    "t_star_levels",
    "t_star_labels",
    "t_star_contrast",
    *(f"t_star_{name}" for name in ("digit", "psnr", "ssim", "features")),
    *(f"t_star_curves_{name}" for name in ("digit", "psnr", "ssim", "features")),
    "purified_levels",
    *(f"purified_{kind}" for kind in ("clean", "fgsm", "pgd")),
}


def run(command, bundle, *options):
    return main([command, str(bundle), "--device", "cpu", *options])


@pytest.fixture(scope="module")
def judge_at_hand(tiny_judge_bundle, tmp_path_factory):
    checkpoints = tmp_path_factory.mktemp("checkpoints")
    names = ["--name", "judge-tiny", "--title", "Judge", "--checkpoints", str(checkpoints)]
    assert main(["embed", str(tiny_judge_bundle), *names]) == 0
    return checkpoints


@pytest.fixture(scope="module")
def small(few_ddpm_figures, judge_at_hand):
    """Few pictures behind every figure, and the embedded judge, for as long as ``patch`` lasts."""

    def small(patch):
        few_ddpm_figures(patch)
        patch.setattr(judged, "CHECKPOINTS", judge_at_hand)
        patch.setattr(way, "SEEDS", 12)
        patch.setattr(layer_probe, "SHARES", (0.1,))
        patch.setattr(layer_probe, "TRAIN_PICTURES", 20)
        patch.setattr(layer_probe, "PROBE_ITERATIONS", 30)
        patch.setattr(layer_probe, "TEST_PICTURES", 10)
        for name, value in FEW.items():
            patch.setattr(judged, name, value)

    return small


@pytest.fixture(autouse=True)
def few_figures(small, monkeypatch):
    small(monkeypatch)


@pytest.fixture
def no_judge(tmp_path, monkeypatch):
    monkeypatch.setattr(judged, "CHECKPOINTS", tmp_path / "none")


@pytest.fixture(scope="module")
def once(svhn_folder, small, tmp_path_factory):
    """A copy of a bundle, measured."""

    def measured(bundle, *options):
        copy = shutil.copytree(bundle, tmp_path_factory.mktemp("measured") / "bundle")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
            patch.setattr("train.vae.bundle.IMPORTANCE_PICTURES", 6)
            patch.setattr("train.vae.bundle.IMPORTANCE_SAMPLES", (1, 10, 50))
            patch.setattr("train.vae.bundle.READ_ITERATIONS", 30)
            small(patch)
            assert run("measure", copy, *options) == 0
        return copy

    return measured


@pytest.fixture(scope="module")
def measured_vae(once, tiny_bundle):
    return once(tiny_bundle)


@pytest.fixture(scope="module")
def abacus_ddpm(tiny_ddpm_bundle, tmp_path_factory):
    """A diffusion model that was trained and timed on another machine."""
    copy = shutil.copytree(tiny_ddpm_bundle, tmp_path_factory.mktemp("abacus") / "bundle")
    bundle = open_bundle(copy)
    metrics = bundle.metrics
    metrics["timing"] |= {"seconds_a_step": 123.0, "device": "abacus"}
    (copy / "metrics.json").write_text(json.dumps(metrics))
    (copy / "README.md").write_text(ddpm_bundle.card(bundle.config, metrics, bundle.history))
    return copy


@pytest.fixture(scope="module")
def ddpm_by_samples(once, abacus_ddpm):
    return once(abacus_ddpm, "--t-star", "0")


@pytest.fixture(scope="module")
def measured_ddpm(once, ddpm_by_samples):
    return once(ddpm_by_samples, "--t-star", "3")


@pytest.fixture(params=["vae", "ddpm"])
def pair(request):
    """A bundle as its run left it, and measured."""
    plain = {"vae": "tiny_bundle", "ddpm": "abacus_ddpm"}[request.param]
    return (
        open_bundle(request.getfixturevalue(plain)),
        open_bundle(request.getfixturevalue(f"measured_{request.param}")),
    )


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


@pytest.fixture
def measured_copy(measured_vae, tmp_path):
    return shutil.copytree(measured_vae, tmp_path / "bundle")


def edit_json(file, change):
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def edit_arrays(file, change):
    arrays = load_file(file)
    change(arrays)
    save_file(arrays, file)


def names(lines):
    """Figures and profiles that lines of a comparison are about."""
    return {line.removeprefix("profile ").split()[0] for line in lines if line}


def differing(said):
    """Those that a comparison reports, the card apart."""
    lines = [line for line in said.splitlines() if "DIFFERS" in line]
    return names(line for line in lines if not line.startswith("the card does not say"))


def test_weights_history_and_pictures_keep_their_bytes(pair):
    plain, measured = pair
    added = set(measured.sha256) - set(plain.sha256)
    assert added == ({"progress/epoch-0002-way.jpg"} if plain.family == "ddpm" else set())
    assert set(plain.sha256) <= set(measured.sha256)
    changed = {name for name, value in plain.sha256.items() if measured.sha256[name] != value}
    assert changed == {"metrics.json", "profiles.safetensors", "README.md"}
    assert any(name.startswith("progress/") for name in plain.sha256)


def test_all_that_was_known_stays_and_what_the_judge_says_is_added(pair, tiny_judge_bundle):
    plain, measured = pair
    metrics = dict(measured.metrics)
    found = metrics.pop("judged")
    for name in ("way", "layer_probe"):
        assert (name in metrics) is (plain.family == "ddpm")
        metrics.pop(name, None)
    assert metrics == plain.metrics
    assert found["samples"]["judge"] == open_bundle(tiny_judge_bundle).digest
    assert found["samples"]["samples"] == 7
    assert "7 samples" in found["protocol"]
    if plain.family == "vae":
        assert set(found) == {"samples", "protocol"}
        added = OF_SAMPLES
    else:
        assert set(found) == {"samples", "t_star", "purification", "protocol"}
        assert "timing" in metrics
        added = OF_SAMPLES | OF_THE_WAY_BACK
    assert set(measured.profiles) == set(plain.profiles) | added
    for name, array in plain.profiles.items():
        np.testing.assert_array_equal(measured.profiles[name], array)


def test_seconds_stay_those_of_the_machine_that_trained(measured_ddpm, tiny_ddpm_bundle):
    measured = open_bundle(measured_ddpm)
    timing = dict(open_bundle(tiny_ddpm_bundle).metrics["timing"])
    timing |= {"seconds_a_step": 123.0, "device": "abacus"}
    assert measured.metrics["timing"] == timing
    assert "abacus" in measured.card


def test_seconds_alone_are_measured_where_they_are_asked_for(abacus_ddpm, tmp_path):
    folder = tmp_path / "ddpm"
    shutil.copytree(abacus_ddpm, folder)
    before = open_bundle(folder)
    assert run("measure", folder, "--seconds") == 0
    after = open_bundle(folder)
    assert after.metrics["timing"]["device"].startswith("CPU")
    assert 0 < after.metrics["timing"]["seconds_a_step"] < 123
    assert "abacus" not in after.card
    changed = {file for file, value in before.sha256.items() if after.sha256[file] != value}
    assert changed == {"metrics.json", "README.md"}
    assert {**after.metrics, "timing": 0} == {**before.metrics, "timing": 0}


@pytest.mark.parametrize("family", ["vae", "judge"])
def test_seconds_of_a_family_that_shows_none_are_refused(family, capsys, request, tmp_path):
    name = {"vae": "tiny_bundle"}.get(family, f"tiny_{family}_bundle")
    folder = tmp_path / family
    shutil.copytree(request.getfixturevalue(name), folder)
    assert run("measure", folder, "--seconds") == 1
    assert f"the family {family}" in capsys.readouterr().err


def test_the_way_back_alone_is_made_where_it_is_asked_for(
    abacus_ddpm, measured_ddpm, tmp_path, capsys
):
    """And is the one that measuring all of it makes; verify makes it again."""
    folder = shutil.copytree(abacus_ddpm, tmp_path / "ddpm")
    before = open_bundle(folder)
    assert run("measure", folder, "--way") == 0
    after, whole = open_bundle(folder), open_bundle(measured_ddpm)
    assert {**after.metrics, "way": 0} == {**before.metrics, "way": 0}
    assert after.metrics["way"] == whole.metrics["way"]
    (sheet,) = after.progress("way").values()
    assert sheet.read_bytes() == next(iter(whole.progress("way").values())).read_bytes()
    changed = {file for file, value in before.sha256.items() if after.sha256[file] != value}
    assert changed == {"metrics.json", "README.md"}
    assert after.card.removeprefix(before.card) == way.card_section(after.metrics["way"])
    assert run("verify", folder) == 0
    assert "sheet way" in capsys.readouterr().out


def test_verify_finds_an_altered_way_back(abacus_ddpm, tmp_path, capsys):
    folder = shutil.copytree(abacus_ddpm, tmp_path / "ddpm")
    assert run("measure", folder, "--way") == 0
    (sheet,) = open_bundle(folder).progress("way").values()
    shown = np.asarray(Image.open(sheet))
    Image.fromarray(shown[::-1]).save(sheet)  # from digits to noise
    edit_json(folder / "metrics.json", lambda metrics: metrics["way"]["confidence"].insert(0, 2.0))
    edit_json(folder / "metrics.json", lambda metrics: metrics["way"]["confidence"].pop())
    assert run("verify", folder) == 1
    found = differing(capsys.readouterr().out)
    assert "way.confidence.0" in found
    assert "sheet" in found


@pytest.mark.parametrize("family", ["vae", "judge"])
def test_a_way_back_of_a_family_that_has_none_is_refused(family, capsys, request, tmp_path):
    name = {"vae": "tiny_bundle"}.get(family, f"tiny_{family}_bundle")
    folder = shutil.copytree(request.getfixturevalue(name), tmp_path / family)
    assert run("measure", folder, "--way") == 1
    assert f"the family {family}" in capsys.readouterr().err


def test_without_a_judge_nobody_chooses_a_way_back(abacus_ddpm, tmp_path, capsys, no_judge):
    folder = shutil.copytree(abacus_ddpm, tmp_path / "ddpm")
    before = open_bundle(folder).digest
    assert run("measure", folder, "--way") == 1
    assert "no judge" in capsys.readouterr().err
    assert open_bundle(folder).digest == before


def test_a_way_back_of_which_no_figure_tells_does_not_stay(
    measured_ddpm, abacus_ddpm, tmp_path, no_judge
):
    folder = shutil.copytree(measured_ddpm, tmp_path / "ddpm")
    assert run("measure", folder) == 0
    left, plain = open_bundle(folder), open_bundle(abacus_ddpm)
    assert set(left.sha256) == set(plain.sha256)
    said = left.metrics.pop("layer_probe")  # needs no judge
    assert left.metrics == plain.metrics
    assert left.card == plain.card + layer_probe.card_section(said)


@pytest.mark.parametrize("other", ["--way", "--layers"])
def test_seconds_and_other_figures_are_not_asked_for_at_once(abacus_ddpm, other):
    with pytest.raises(SystemExit):
        run("measure", abacus_ddpm, "--seconds", other)


def test_what_is_read_from_layers_alone_is_measured_where_it_is_asked_for(
    abacus_ddpm, tmp_path, capsys
):
    """And verify finds it again, or finds that somebody altered it."""
    folder = shutil.copytree(abacus_ddpm, tmp_path / "ddpm")
    before = open_bundle(folder)
    assert run("measure", folder, "--layers") == 0
    after = open_bundle(folder)
    found = after.metrics["layer_probe"]
    assert {**after.metrics, "layer_probe": 0} == {**before.metrics, "layer_probe": 0}
    assert (found["train_pictures"], found["test_pictures"]) == (20, 10)
    assert all(len(shares) == len(found["t"]) == 1 for shares in found["accuracy"].values())
    changed = {file for file, value in before.sha256.items() if after.sha256[file] != value}
    assert changed == {"metrics.json", "README.md"}
    assert set(after.sha256) == set(before.sha256)
    assert after.card.removeprefix(before.card) == layer_probe.card_section(found)
    assert run("verify", folder) == 0
    assert "layer_probe.accuracy.stem.0" in names(capsys.readouterr().out.splitlines())

    def falsify(metrics):
        metrics["layer_probe"]["accuracy"]["middle"][0] += 0.1

    edit_json(folder / "metrics.json", falsify)
    assert run("verify", folder) == 1
    assert "layer_probe.accuracy.middle.0" in differing(capsys.readouterr().out)


@pytest.mark.parametrize("family", ["vae", "judge"])
def test_layers_of_a_family_that_has_none_to_read_are_refused(family, capsys, request, tmp_path):
    name = {"vae": "tiny_bundle"}.get(family, f"tiny_{family}_bundle")
    folder = shutil.copytree(request.getfixturevalue(name), tmp_path / family)
    assert run("measure", folder, "--layers") == 1
    assert f"the family {family}" in capsys.readouterr().err


def test_the_card_goes_on_with_what_the_judge_says(pair):
    plain, measured = pair
    assert measured.card.startswith(plain.card)
    assert ("the seeds are **chosen**" in measured.card.lower()) is (plain.family == "ddpm")
    section, said = measured.card.removeprefix(plain.card), measured.metrics["judged"]
    samples = said["samples"]
    for row in (
        f"| judge {samples['judge']} | 7 samples | test digits |",
        f"| sure of a digit | {samples['sure']:.1%} | {samples['sure_of_test']:.1%} |",
        f"| {samples['sharpness']:.2f} | {samples['sharpness_of_test']:.2f} |",
        f"| diversity | {samples['diversity']:.3f} | 1.000 |",
        f"| {samples['frechet']:.2f} | {samples['frechet_real_against_real']:.2f} |",
        f"| {samples['nearest_training']:.1f} | {samples['nearest_training_of_test']:.1f} |",
        said["protocol"],
    ):
        assert row in section
    assert ("t*" in section) is (plain.family == "ddpm")
    if plain.family == "ddpm":
        purified = said["purification"]
        assert "Half of 3 test digits" in section
        assert f"{purified['accuracy_pgd']:.1%} of 6 digits" in section
        for words, key in (
            ("after the best purification about\n", "best_purified_pgd"),
            ("without attack about ", "accuracy_clean"),
        ):
            assert f"{words}{purified[key]:.1%}" in section


def test_the_card_counts_levels_from_one():
    """As pages do: t from 0 in code, quartiles 9 to 29 are 10 to 30 to read."""
    purified = {"accuracy_pgd": 0.1, "best_purified_pgd": 0.5, "accuracy_clean": 0.9}
    zero = dict.fromkeys(
        (
            "samples",
            "sharpness",
            "sharpness_of_test",
            "sure",
            "sure_of_test",
            "diversity",
            "frechet",
            "frechet_real_against_real",
            "nearest_training",
            "nearest_training_of_test",
        ),
        0,
    )
    section = judged.card_section(
        {
            "samples": {**zero, "judge": "abc"},
            "t_star": {"pictures": 40, "digit": {"quartiles": [9.0, 19.2, 29.4]}},
            "purification": {"pictures": 6, **purified},
            "protocol": "As said.",
        }
    )
    assert "between\n10 and 30, median 20." in section


def test_measuring_again_changes_nothing(measured_copy):
    before = open_bundle(measured_copy).digest
    assert run("measure", measured_copy) == 0
    assert open_bundle(measured_copy).digest == before


def test_without_t_star_a_diffusion_model_is_judged_by_its_samples(ddpm_by_samples, measured_ddpm):
    few, all_of_it = open_bundle(ddpm_by_samples), open_bundle(measured_ddpm)
    assert set(few.metrics["judged"]) == {"samples", "protocol"}
    assert few.metrics["judged"]["samples"] == all_of_it.metrics["judged"]["samples"]
    assert all_of_it.metrics["judged"]["t_star"]["pictures"] == 3
    assert set(all_of_it.profiles) - set(few.profiles) == OF_THE_WAY_BACK
    assert "PGD" not in few.card


def test_what_was_wrong_is_put_right(copy, measured_vae):
    """Altered, absent and invented figures, profiles, sheets and the card."""

    def falsify(metrics):
        metrics["test"].update(nll=1.0, invented=2.0)
        del metrics["linear_model"]

    edit_json(copy / "metrics.json", falsify)
    edit_arrays(copy / "profiles.safetensors", lambda arrays: arrays.pop("class_mean"))
    (copy / "README.md").write_text("The best model in the world.")
    (copy / "progress" / "epoch-0002-best.jpg").unlink()
    assert run("measure", copy) == 0
    assert open_bundle(copy).sha256 == open_bundle(measured_vae).sha256


def test_without_a_judge_measuring_leaves_a_bundle_as_its_run_left_it(copy, tiny_bundle, no_judge):
    assert run("measure", copy) == 0
    assert open_bundle(copy).digest == open_bundle(tiny_bundle).digest


def test_without_a_judge_what_it_said_is_not_kept(measured_copy, tiny_bundle, no_judge):
    """A figure that cannot be found again does not stay."""
    assert run("measure", measured_copy) == 0
    assert open_bundle(measured_copy).digest == open_bundle(tiny_bundle).digest


def test_a_judge_is_measured_but_not_judged(tiny_judge_bundle, tmp_path):
    copy = shutil.copytree(tiny_judge_bundle, tmp_path / "bundle")
    assert run("measure", copy) == 0
    found = open_bundle(copy)
    assert found.digest == open_bundle(tiny_judge_bundle).digest
    assert "judged" not in found.metrics


def test_the_command_says_what_it_wrote(measured_copy, capsys):
    assert run("measure", measured_copy) == 0
    said = capsys.readouterr().out
    assert "golden output: off by" in said
    assert open_bundle(measured_copy).digest in said


@pytest.fixture
def without_vae():
    """Nothing here trains a VAE; the order of the others, and of all afterwards, stays."""
    kept = dict(TRAINED)
    del TRAINED["vae"]
    yield
    TRAINED.clear()
    TRAINED.update(kept)


@pytest.mark.parametrize("command", ["measure", "verify"])
def test_a_family_without_figures_is_refused_and_left_alone(copy, command, capsys, without_vae):
    before = open_bundle(copy).digest
    assert run(command, copy) == 1
    assert capsys.readouterr().err == "error: No figures are known for the family vae.\n"
    assert open_bundle(copy).digest == before


def test_altered_weights_are_not_measured(copy, capsys):
    def nudge(arrays):
        arrays["decoder.0.bias"] += np.float16(0.05)

    edit_arrays(copy / "model.safetensors", nudge)
    before = open_bundle(copy).digest
    assert run("measure", copy) == 1
    assert "golden" in capsys.readouterr().err
    assert open_bundle(copy).digest == before


def test_a_bundle_of_other_pictures_is_not_measured(copy, capsys):
    edit_json(copy / "config.json", lambda config: config["data"].update(fingerprint="0" * 64))
    before = open_bundle(copy).digest
    assert run("measure", copy) == 1
    assert "train pictures at hand are not those" in capsys.readouterr().err
    assert open_bundle(copy).digest == before


# ---------------------------------------------------------------- verified


def test_verify_asks_the_judge_again_where_it_was_asked(measured_vae, capsys):
    assert run("verify", measured_vae) == 0
    said = capsys.readouterr().out
    assert "every figure agrees" in said
    assert "DIFFERS" not in said
    assert {"judged.samples.frechet", "judged_digits"} <= names(said.splitlines())


def test_verify_asks_no_judge_where_none_was_asked(tiny_bundle, capsys):
    assert run("verify", tiny_bundle) == 0
    assert "judged" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda said: said["samples"].update(frechet=0.0), "judged.samples.frechet"),
        (lambda said: said["samples"].update(sure=0.99), "judged.samples.sure"),
        (lambda said: said["samples"].pop("diversity"), "judged.samples.diversity"),
    ],
    ids=["frechet", "sure", "absent"],
)
def test_verify_finds_an_altered_figure_of_the_judge(measured_copy, change, name, capsys):
    edit_json(measured_copy / "metrics.json", lambda metrics: change(metrics["judged"]))
    assert run("verify", measured_copy) == 1
    said = capsys.readouterr().out
    assert differing(said) == {name}
    assert "the card does not say what the figures say" in said


@pytest.mark.slow
def test_verify_asks_for_no_t_star_where_none_was_measured(ddpm_by_samples, capsys):
    assert run("verify", ddpm_by_samples) == 0
    said = capsys.readouterr().out
    assert "judged.samples.frechet" in said
    assert "t_star" not in said


@pytest.mark.slow
def test_altered_figures_of_the_way_back_are_found_and_put_right(measured_ddpm, tmp_path, capsys):
    """And every other figure agrees; measured again, the bundle is what it was."""
    copy = shutil.copytree(measured_ddpm, tmp_path / "bundle")

    def falsify(metrics):
        metrics["judged"]["t_star"]["psnr"]["quartiles"][1] += 5
        metrics["judged"]["purification"]["best_purified_pgd"] = 0.99

    def shift(arrays):
        arrays["t_star_ssim"] = arrays["t_star_ssim"] + 9
        arrays["purified_clean"] = arrays["purified_clean"] + np.float32(0.1)

    edit_json(copy / "metrics.json", falsify)
    edit_arrays(copy / "profiles.safetensors", shift)
    assert run("verify", copy) == 1
    said = capsys.readouterr().out
    assert {"judged.purification.accuracy_pgd", *OF_THE_WAY_BACK} <= names(said.splitlines())
    assert differing(said) == {
        "judged.t_star.psnr.quartiles.1",
        "judged.purification.best_purified_pgd",
        "t_star_ssim",
        "purified_clean",
    }
    assert run("measure", copy, "--t-star", "3") == 0
    assert open_bundle(copy).digest == open_bundle(measured_ddpm).digest


def test_verify_without_the_judge_does_not_vouch_for_what_it_said(measured_vae, no_judge, capsys):
    assert run("verify", measured_vae) == 1
    found = differing(capsys.readouterr().out)
    assert {"judged.samples.frechet", "judged_digits"} <= found
    assert all(name.startswith("judged") for name in found)


@pytest.mark.parametrize("with_judge", [True, False])
def test_recompute_asks_the_judge_only_where_told(tiny_bundle, with_judge):
    found = verify.recompute(open_bundle(tiny_bundle), "", CPU, with_judge=with_judge)
    assert ("judged" in found.metrics) is with_judge
    assert (set(found.profiles) >= OF_SAMPLES) is with_judge
    assert found.sheets


def test_a_card_without_its_figures_is_no_card(tiny_bundle):
    bundle = open_bundle(tiny_bundle)
    assert verify.card_of(bundle, bundle.metrics) == bundle.card
    few = {key: value for key, value in bundle.metrics.items() if key != "linear_model"}
    assert verify.card_of(bundle, few) == "no card without 'linear_model'"


def test_every_family_knows_its_figures_and_no_other(
    tiny_bundle, tiny_ddpm_bundle, tiny_judge_bundle
):
    for folder, judges in (
        (tiny_bundle, True),
        (tiny_ddpm_bundle, True),
        (tiny_judge_bundle, False),
    ):
        bundle = open_bundle(folder)
        assert family_of(bundle).golden(bundle) <= 1e-4
        assert (trained_family_of(bundle).judged is not None) is judges
    assert set(TRAINED) == {"vae", "ddpm", "judge", "simsiam"}


def test_a_family_that_is_not_trained_here_has_a_code_of_its_own(copy, without_vae):
    with pytest.raises(AtelierError) as caught:
        trained_family_of(open_bundle(copy))
    assert caught.value.code == "verify-family"
