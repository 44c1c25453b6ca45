from dataclasses import replace

import numpy as np
import pytest
import torch

from core.ddpm.model import DDPM
from core.ddpm.restoration import find_t_star, noised, sweep
from core.ddpm.samplers import ddim
from core.ddpm.schedule import NoiseSchedule
from core.errors import AtelierError
from core.families import open_bundle
from core.judge.explorer import JudgeExplorer
from core.judge.frechet import frechet_distance
from core.pictures.data import load_split
from core.pictures.images import sharpness, to_pictures, to_tensor
from core.vae.model import VAE
from train.__main__ import main
from train.judge import judged
from train.judge import trainer as judges
from train.run.augment import DigitAugmentation

CPU = torch.device("cpu")
CRITERIA = ("digit", "psnr", "ssim", "features")
SVHN = {"name": "svhn"}
PURIFIED = {f"purified_{kind}" for kind in ("levels", "clean", "fgsm", "pgd")}
FEW = {
    "SAMPLES": 11,
    "TOLD_APART": 8,
    "T_STAR_STEPS": 12,
    "T_STAR_PLACES": tuple(range(1, 12)),
    "T_STAR_DRAWS": 3,
    "T_STAR_PICTURES": 10,
    "PURIFIED_STEPS": 10,
    "PURIFIED_PLACES": (1, 2, 6),
    "PURIFIED_PICTURES": 13,
    "ATTACKED_LEVELS": 6,
    "PGD_STEPS": 3,
    "BATCH": 70,  # several batches, the last of them smaller
}


@pytest.fixture(autouse=True)
def fewer_pictures(monkeypatch):
    for name, value in FEW.items():
        monkeypatch.setattr(judged, name, value)


@pytest.fixture(scope="module")
def judge_bundle(make_digits, write_shard, tiny_judge, tmp_path_factory):
    """A judge that is right of most digits, sure of some, and fooled by attacks."""
    root = tmp_path_factory.mktemp("judge")
    folder = root / "ufldl-stanford/svhn/cropped_digits"
    for split, count, seed in (("train", 240, 0), ("test", 40, 1)):
        write_shard(folder / f"{split}-00000-of-00001.parquet", *make_digits(count, seed))
    training = judges.JudgeTraining(
        epochs=12,
        batch_size=16,
        warmup_steps=4,
        learning_rate=2e-2,
        average_decay=0.8,
        label_smoothing=0.1,
        mixup=0.0,
        augmentation=DigitAugmentation(),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(root))
        return judges.start(root / "run", tiny_judge, training, device=CPU)


@pytest.fixture(scope="module")
def judge(judge_bundle):
    return JudgeExplorer(open_bundle(judge_bundle))


@pytest.fixture
def sets():
    return load_split("svhn", "train"), load_split("svhn", "test")


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    monkeypatch.setattr(judged, "CHECKPOINTS", folder)
    return folder


@pytest.fixture(scope="module")
def ddpm(tiny_ddpm_bundle):
    return DDPM.from_pretrained(tiny_ddpm_bundle)


def embed(bundle, checkpoints, name):
    place = ["--checkpoints", str(checkpoints)]
    assert main(["embed", str(bundle), "--name", name, "--title", "Tiny", *place]) == 0


def spread(count, wanted):
    return [index * count // wanted for index in range(wanted)]


def only(pictures, rows):
    return replace(pictures, pictures=pictures.pictures[rows], labels=pictures.labels[rows])


def seeds(*numbers):
    return [torch.Generator().manual_seed(number) for number in numbers]


def closest(pictures, bank):
    """Root mean square difference to the nearest of a set, by looking at every pair."""
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (pictures, bank))
    return np.sqrt([np.square(b - row).mean(axis=1).min() for row in a])


def numbers(figures):
    return {key: value for key, value in figures.items() if key != "judge"}


def says_none(x_t, t):
    """Sees no noise: the way back only undoes the fading, x_t / sqrt(alpha_bar_t)."""
    return torch.zeros_like(x_t)


def knows(schedule, picture):
    """Takes every picture for this one, and so walks back to it from anywhere."""
    x0 = to_tensor(picture[None])

    def eps_model(x_t, t):
        return schedule.walk_noise(x0.expand_as(x_t), x_t, t)

    return eps_model


# ---------------------------------------------------------------- which judge


@pytest.mark.parametrize("name", ["cifar10", "folder"])
def test_models_of_other_pictures_are_not_judged(judge_bundle, checkpoints, name):
    embed(judge_bundle, checkpoints, "judge-tiny")
    assert judged.judge_for({"name": name}) is None


def test_without_an_embedded_judge_nothing_is_judged(tiny_bundle, checkpoints):
    assert judged.judge_for(SVHN) is None
    embed(tiny_bundle, checkpoints, "vae-tiny")
    assert judged.judge_for(SVHN) is None


def test_the_judge_is_the_embedded_one(judge_bundle, tiny_bundle, checkpoints):
    embed(tiny_bundle, checkpoints, "a-vae")
    embed(judge_bundle, checkpoints, "judge-tiny")
    found = judged.judge_for(SVHN)
    assert found.bundle.digest == open_bundle(judge_bundle).digest
    assert found.bundle.verified


def test_of_two_judges_the_first_by_name_judges(judge_bundle, tiny_judge_bundle, checkpoints):
    embed(tiny_judge_bundle, checkpoints, "judge-b")
    embed(judge_bundle, checkpoints, "judge-a")
    assert judged.judge_for(SVHN).bundle.digest == open_bundle(judge_bundle).digest


def test_a_judge_that_was_tampered_with_judges_nothing(judge_bundle, checkpoints):
    embed(judge_bundle, checkpoints, "judge-tiny")
    with open(checkpoints / "judge-tiny" / "model.safetensors", "ab") as file:
        file.write(b"\n")
    with pytest.raises(AtelierError) as caught:
        judged.judge_for(SVHN)
    assert caught.value.code == "bundle-hash"


# ---------------------------------------------------------------- samples


def test_figures_of_samples_are_those_of_the_judge(judge, sets):
    train_set, test_set = sets
    # Some that it is sure of, some that it is not.
    order = judge.judge(train_set.pictures).confidence.argsort()
    drawn = train_set.pictures[np.concatenate([order[:4], order[-7:]])]
    figures, arrays = judged.sample_figures(judge, drawn, *sets)
    seen, real = judge.judge(drawn), judge.judge(test_set.pictures)
    assert figures["judge"] == judge.bundle.digest
    assert figures["samples"] == 11
    assert figures["sharpness"] == pytest.approx(sharpness(drawn))
    assert figures["sharpness_of_test"] == pytest.approx(sharpness(test_set.pictures))
    for key, verdicts in (("", seen), ("_of_test", real)):
        sure = verdicts.p.max(1) >= 0.9
        assert 0 < sure.mean() < 1
        assert figures[f"sure{key}"] == pytest.approx(sure.mean())
        digits = np.bincount(verdicts.p.argmax(1)[sure], minlength=10)
        np.testing.assert_array_equal(arrays[f"judged_digits{key}"], digits)
    apart = np.linalg.norm(seen.features[:, None] - seen.features[None], axis=2)
    apart_of_test = np.linalg.norm(real.features[:, None] - real.features[None], axis=2)
    ratio = apart.sum() / (11 * 10) / (apart_of_test.sum() / (40 * 39))
    assert figures["diversity"] == pytest.approx(ratio, rel=1e-3)
    distance = frechet_distance(seen.features, real.features)
    assert figures["frechet"] == pytest.approx(distance, rel=1e-3)
    assert figures["frechet_real_against_real"] == pytest.approx(
        judge.bundle.metrics["features"]["frechet_halves_of_test"]
    )


def test_samples_copied_from_the_training_pictures_are_found_out(judge, sets):
    train_set, test_set = sets
    figures, _ = judged.sample_figures(judge, train_set.pictures[:5], *sets)
    assert figures["nearest_training"] == 0
    some = test_set.pictures[spread(40, 8)]
    assert figures["nearest_training_of_test"] == pytest.approx(
        np.median(closest(some, train_set.pictures))
    )
    softened = train_set.pictures[:5] // 2
    figures, _ = judged.sample_figures(judge, softened, *sets)
    assert figures["nearest_training"] == pytest.approx(
        np.median(closest(softened, train_set.pictures))
    )


def test_samples_of_a_vae_are_modes_for_z_from_the_prior(judge, sets, tiny_bundle):
    model = VAE.from_pretrained(tiny_bundle)
    figures, arrays = judged.of_vae(model, judge, *sets, CPU)
    z = torch.randn(11, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        drawn = np.concatenate([to_pictures(model.decode(one[None]).mean) for one in z])
    wanted, of_samples = judged.sample_figures(judge, drawn, *sets)
    assert set(figures) == {"samples", "protocol"}
    assert numbers(figures["samples"]) == pytest.approx(numbers(wanted), rel=1e-3)
    assert set(arrays) == set(of_samples) == {"judged_digits", "judged_digits_of_test"}
    assert "11 samples: z from the prior, seed 0." in figures["protocol"]
    assert "8 test pictures" in figures["protocol"]


def test_samples_of_a_vae_do_not_depend_on_the_size_of_batches(
    judge, sets, tiny_bundle, monkeypatch
):
    model = VAE.from_pretrained(tiny_bundle)
    found = []
    for batch in (4, 11):
        monkeypatch.setattr(judged, "BATCH", batch)
        found.append(judged.of_vae(model, judge, *sets, CPU)[0]["samples"])
    assert numbers(found[0]) == pytest.approx(numbers(found[1]), rel=1e-3)


# ---------------------------------------------------------------- there and back


@pytest.mark.parametrize("batch", [1, 24, 500])
def test_every_draw_of_a_picture_has_a_seed_of_its_own_and_every_level_its_noise(
    sets, monkeypatch, batch
):
    """In closed form: a network that sees no noise gives back x0 + noise / sqrt(snr)."""
    monkeypatch.setattr(judged, "BATCH", batch)
    schedule = NoiseSchedule.linear(60)
    pictures = sets[1].pictures[:5]
    levels, grid = torch.tensor([4, 19, 59]), torch.tensor([59, 39, 19, 9, 4, -1])
    parts = list(judged.restorations(says_none, schedule, pictures, levels, grid, 2, CPU))
    assert len(parts) == {1: 5, 24: 2, 500: 1}[batch]
    np.testing.assert_array_equal(np.concatenate([rows for rows, _ in parts]), np.arange(5))
    back = np.concatenate([found for _, found in parts])
    assert back.shape == (5, 3, 2, 32, 32, 3)
    assert back.dtype == np.uint8
    for i, x0 in enumerate(to_tensor(pictures)):
        for d in range(2):
            (source,) = seeds(2 * i + d)
            noise = torch.randn(3, 32, 32, generator=source)
            for place, t in enumerate(levels.tolist()):
                share = schedule.alphas_cumprod[t]
                wanted = x0 + ((1 - share) / share).sqrt() * noise
                off = back[i, place, d].astype(int) - to_pictures(wanted[None])[0]
                assert np.abs(off).max() <= 1


def test_the_way_back_is_not_differentiated(ddpm, sets):
    levels, grid = torch.tensor([5, 11]), torch.tensor([11, 5, -1])
    asked = []

    def eps_model(x_t, t):
        asked.append(torch.is_grad_enabled())
        return ddpm.eps(x_t, t)

    list(judged.restorations(eps_model, ddpm.schedule, sets[1].pictures[:2], levels, grid, 1, CPU))
    assert asked == [False, False]


def direct_scores(ddpm, judge, picture, levels, grid, sources):
    """Scores (L, D) of one picture alone, by each criterion."""
    with torch.no_grad():
        x_t = noised(ddpm.schedule, to_tensor(picture[None]), levels, [sources])
        *_, end = sweep(ddpm.eps, ddpm.schedule, x_t, levels, grid)
    back = to_pictures(end.x_t).reshape(1, len(levels), len(sources), 32, 32, 3)
    return {key: value[0] for key, value in judge.compare(picture[None], back).scores.items()}


@pytest.fixture(scope="module")
def looked_up(ddpm, judge, svhn_folder):
    """t* of the test pictures by the library, and the same picture by picture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
        for name, value in FEW.items():
            patch.setattr(judged, name, value)
        test_set = load_split("svhn", "test")
        found = judged.t_star_figures(ddpm.eps, ddpm.schedule, judge, test_set, CPU)
    grid = torch.arange(59, -2, -5)  # T = 60 in 12 steps
    levels = torch.arange(4, 55, 5)  # 11 of them, from the lowest
    direct = [
        direct_scores(
            ddpm, judge, test_set.pictures[row], levels, grid, seeds(*range(3 * i, 3 * i + 3))
        )
        for i, row in enumerate(spread(40, 10))
    ]
    return found, levels, direct


def test_levels_rise_from_the_lowest_of_the_grid(looked_up):
    (figures, arrays), levels, _ = looked_up
    np.testing.assert_array_equal(arrays["t_star_levels"], levels)
    assert (figures["steps"], figures["draws"], figures["pictures"]) == (12, 3, 10)


def test_t_star_labels_are_those_of_the_chosen_pictures(looked_up, sets):
    (_, arrays), _, _ = looked_up
    np.testing.assert_array_equal(arrays["t_star_labels"], sets[1].labels[spread(40, 10)])


@pytest.mark.parametrize("name", CRITERIA)
def test_t_star_is_that_of_every_picture_by_itself(looked_up, judge, name):
    (_, arrays), levels, direct = looked_up
    rule = judge.rules()[name]
    expected = [find_t_star(levels.numpy(), scores[name], rule).t for scores in direct]
    expected = np.nan_to_num(expected, posinf=60, neginf=-1)
    np.testing.assert_allclose(arrays[f"t_star_{name}"], expected, atol=0.3)
    if name != "features":
        assert ((expected > 0) & (expected < 60)).any()


def test_contrast_is_that_of_the_grey_picture():
    flat = np.full((32, 32, 3), 77, dtype=np.uint8)
    coloured = np.zeros((32, 32, 3), dtype=np.uint8)  # its halves differ in hue alone
    coloured[:16, :, 0] = coloured[16:, :, 1] = 90
    halves = np.zeros((32, 32, 3), dtype=np.uint8)
    halves[:16] = 200
    found = judged.contrast(np.stack([flat, coloured, halves]))
    np.testing.assert_allclose(found, [0, 0, 100], atol=1e-5)


def test_the_contrast_stored_is_that_of_the_pictures_chosen(looked_up, sets):
    (_, arrays), _, _ = looked_up
    expected = judged.contrast(sets[1].pictures[spread(40, 10)])
    np.testing.assert_array_equal(arrays["t_star_contrast"], expected)


@pytest.mark.parametrize("name", CRITERIA)
def test_curves_are_means_over_draws_of_every_picture(looked_up, name):
    (_, arrays), _, direct = looked_up
    expected = [scores[name].mean(axis=1) for scores in direct]
    np.testing.assert_allclose(arrays[f"t_star_curves_{name}"], expected, rtol=5e-3)


@pytest.mark.parametrize("name", CRITERIA)
def test_figures_of_t_star_sum_up_its_array(looked_up, judge, name):
    (figures, arrays), _, _ = looked_up
    found, values = figures[name], arrays[f"t_star_{name}"]
    assert found["threshold"] == judge.rules()[name].threshold
    assert found["quartiles"] == pytest.approx([sorted(values)[place] for place in (2, 4, 6)])
    assert found["below"] == (values == -1).mean()
    assert found["above"] == (values == 60).mean()
    assert figures["judge"] == judge.bundle.digest


def other_digit(judge, test_set):
    """Two test pictures between which every criterion tells apart."""
    seen = judge.judge(test_set.pictures)
    for b in range(1, len(test_set)):
        scores = judge.compare(test_set.pictures[b : b + 1], test_set.pictures[None, None, :1])
        lost = [
            float(scores.scores[name][0, 0, 0]) < rule.threshold
            if rule.higher
            else float(scores.scores[name][0, 0, 0]) > rule.threshold
            for name, rule in judge.rules().items()
        ]
        if all(lost) and seen.digit[b] != seen.digit[0]:
            return b
    raise AssertionError("no such pair among the test pictures")


def test_a_picture_that_always_comes_back_is_above_one_that_never_does_below(judge, sets):
    """-1 is below the lowest level, T above the highest; two of three come back here."""
    _, test_set = sets
    b = other_digit(judge, test_set)
    schedule = NoiseSchedule.linear(60)
    three = only(test_set, [0, b, 0])
    figures, arrays = judged.t_star_figures(
        knows(schedule, test_set.pictures[0]), schedule, judge, three, CPU
    )
    for name in CRITERIA:
        assert arrays[f"t_star_{name}"].tolist() == [60, -1, 60]
        assert figures[name]["below"] == pytest.approx(1 / 3)
        assert figures[name]["above"] == pytest.approx(2 / 3)
        assert figures[name]["quartiles"] == [-1, 60, 60]
    assert arrays["t_star_curves_digit"].all(axis=1).tolist() == [True, False, True]
    assert figures["pictures"] == 3


def test_a_number_of_pictures_may_be_named(judge, sets):
    schedule = NoiseSchedule.linear(60)
    figures, arrays = judged.t_star_figures(says_none, schedule, judge, sets[1], CPU, 4)
    assert figures["pictures"] == 4
    np.testing.assert_array_equal(arrays["t_star_labels"], sets[1].labels[spread(40, 4)])


def test_without_a_number_every_test_picture_is_taken(judge, sets, monkeypatch):
    monkeypatch.setattr(judged, "T_STAR_PICTURES", None)
    monkeypatch.setattr(judged, "T_STAR_DRAWS", 1)
    schedule = NoiseSchedule.linear(60)
    figures, arrays = judged.t_star_figures(says_none, schedule, judge, sets[1], CPU)
    assert figures["pictures"] == 40
    assert len(arrays["t_star_psnr"]) == 40
    np.testing.assert_array_equal(arrays["t_star_labels"], sets[1].labels)


@pytest.mark.parametrize(("T", "purified"), [(8, [0, 1, 5]), (6, [0, 1, 5]), (5, [0, 1])])
def test_a_short_schedule_has_no_more_steps_than_levels(judge, sets, T, purified):
    """And no place of the grid is purified from that it does not have: 1, 2 and 6 are asked for."""
    schedule = NoiseSchedule.linear(T)
    few = only(sets[1], [0, 1])
    figures, arrays = judged.t_star_figures(says_none, schedule, judge, few, CPU)
    assert figures["steps"] == T
    assert arrays["t_star_levels"].tolist() == list(range(T))
    figures, arrays = judged.purification_figures(says_none, schedule, judge, few, CPU)
    assert figures["steps"] == T
    assert arrays["purified_levels"].tolist() == purified
    assert len(arrays["purified_pgd"]) == 1 + len(purified)


# ---------------------------------------------------------------- purification


@pytest.fixture
def purified(ddpm, judge, sets):
    return judged.purification_figures(ddpm.eps, ddpm.schedule, judge, sets[1], CPU)


def attacked(judge, clean, labels):
    return {
        "clean": clean,
        "fgsm": judge.attack(clean, labels, "fgsm", levels=6),
        "pgd": judge.attack(clean, labels, "pgd", levels=6, steps=3),
    }


def test_purified_accuracies_are_those_of_every_picture_by_itself(purified, ddpm, judge, sets):
    rows = spread(40, 13)
    clean, labels = sets[1].pictures[rows], sets[1].labels[rows]
    figures, arrays = purified
    levels, grid = torch.tensor([5, 11, 35]), torch.arange(59, -2, -6)  # T = 60 in 10 steps
    np.testing.assert_array_equal(arrays["purified_levels"], levels)
    off = 0.0
    for kind, pictures in attacked(judge, clean, labels).items():
        right = np.zeros((len(rows), 4))
        for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            x0 = to_tensor(picture[None])
            right[i, 0] = judge.judge(picture[None]).digit[0] == label
            for place, t in enumerate(levels):
                noise = torch.randn(1, 3, 32, 32, generator=seeds(i)[0])
                x_t = ddpm.schedule.q_sample(x0, t[None], noise)
                with torch.no_grad():
                    *_, end = ddim(ddpm.eps, ddpm.schedule, x_t, grid[grid <= t])
                right[i, 1 + place] = judge.judge(to_pictures(end.x_t)).digit[0] == label
        accuracy = right.mean(axis=0)
        off += 13 * np.abs(arrays[f"purified_{kind}"] - accuracy).sum()
        assert figures[f"accuracy_{kind}"] == pytest.approx(accuracy[0])
        assert figures[f"best_purified_{kind}"] == pytest.approx(
            arrays[f"purified_{kind}"][1:].max()
        )
    assert off < 1.1  # one answer of all may hang on the last bit of a batched product
    assert figures["accuracy_clean"] > figures["accuracy_pgd"]


def test_figures_of_purification_say_how_it_was_done(purified, judge):
    figures, _ = purified
    assert figures["judge"] == judge.bundle.digest
    assert (figures["pictures"], figures["steps"]) == (13, 10)
    assert (figures["grey_levels"], figures["pgd_steps"]) == (6, 3)


def test_a_perfect_model_takes_an_attack_away_again(judge, sets):
    seen = judge.judge(sets[1].pictures)
    fooled = judge.judge(attacked(judge, sets[1].pictures, sets[1].labels)["pgd"])
    right, wrong = seen.digit == sets[1].labels, fooled.digit != sets[1].labels
    row = int(np.flatnonzero(right & wrong)[0])
    schedule = NoiseSchedule.linear(60)
    figures, arrays = judged.purification_figures(
        knows(schedule, sets[1].pictures[row]), schedule, judge, only(sets[1], [row]), CPU
    )
    assert arrays["purified_pgd"].tolist() == [0, 1, 1, 1]
    assert arrays["purified_clean"].tolist() == [1, 1, 1, 1]
    assert (figures["accuracy_pgd"], figures["best_purified_pgd"]) == (0, 1)


# ---------------------------------------------------------------- a whole diffusion model


def test_a_diffusion_model_is_judged_by_its_samples_its_t_star_and_its_purification(
    ddpm, judge, sets, purified, looked_up
):
    figures, arrays = judged.of_ddpm(ddpm, judge, *sets, CPU)
    x_T = torch.stack([torch.randn(3, 32, 32, generator=source) for source in seeds(*range(11))])
    # T = 60 in 50 steps: the grid is that of the sampler.
    grid = 59 - torch.arange(51) * 60 // 50
    with torch.no_grad():
        *_, end = ddim(ddpm.eps, ddpm.schedule, x_T, grid)
    drawn = to_pictures(end.x_t)
    wanted, of_samples = judged.sample_figures(judge, drawn, *sets)
    assert numbers(figures["samples"]) == pytest.approx(numbers(wanted), rel=2e-3)
    assert figures["t_star"] == looked_up[0][0]
    assert figures["purification"] == purified[0]
    every = {**of_samples, **looked_up[0][1], **purified[1]}
    assert set(arrays) == set(every)
    for name in {*looked_up[0][1], *purified[1]}:
        np.testing.assert_array_equal(arrays[name], every[name])


def test_samples_can_be_judged_without_the_way_back(ddpm, judge, sets, looked_up):
    few, of_few = judged.of_ddpm(ddpm, judge, *sets, CPU, 3)
    none, of_none = judged.of_ddpm(ddpm, judge, *sets, CPU, 0)
    assert few["t_star"]["pictures"] == len(of_few["t_star_digit"]) == 3
    assert set(of_few) - set(of_none) == {*looked_up[0][1], *PURIFIED}
    assert set(none) == {"samples", "protocol"}
    assert none["samples"] == few["samples"]
    assert set(of_none) == {"judged_digits", "judged_digits_of_test"}
    assert none["protocol"] in few["protocol"]
    assert "t*" not in none["protocol"]


def test_the_protocol_says_what_was_done(ddpm, judge, sets, monkeypatch):
    monkeypatch.setattr(judged, "T_STAR_PICTURES", 2)
    monkeypatch.setattr(judged, "PURIFIED_PICTURES", 2)
    said = judged.of_ddpm(ddpm, judge, *sets, CPU)[0]["protocol"]
    for words in (
        "11 samples: DDIM with 50 steps, eta 0, without clipping, seeds 0 to 10.",
        "noised to 11 levels up to 55 of 60, 3 draws each, back by DDIM with 12 steps",
        "attacks of 6/255 on the judge alone (PGD 3 steps), back by DDIM with 10 steps",
    ):
        assert words in said
