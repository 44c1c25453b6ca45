import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from core.ddpm.restoration import Rule
from core.errors import AtelierError
from core.families import open_bundle
from core.judge import explorer as judge_explorer
from core.judge.explorer import JudgeExplorer, Verdicts, golden_deviation, mean_distance
from core.judge.frechet import Gaussian, frechet_distance
from core.judge.model import CLASSES, PRESETS, SURE, Judge, JudgeConfig, Residual
from core.judge.similarity import psnr, ssim
from core.pictures.images import to_pictures, to_tensor

WIDTH = 8


@pytest.fixture(scope="module")
def digits(make_digits):
    return make_digits(30, 9)


@pytest.fixture(scope="module")
def lively_bundle(tiny_judge_bundle, digits, tmp_path_factory):
    """The tiny judge has learnt nothing in its two epochs: here it answers at random, but by what
    it sees, and is sure of some pictures. Its features are as they were."""
    copy = shutil.copytree(tiny_judge_bundle, tmp_path_factory.mktemp("lively") / "judge")
    with torch.no_grad():
        features = Judge.from_pretrained(copy).features(to_tensor(digits[0])).numpy()
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-3
    mixing = np.random.default_rng(0).normal(size=(CLASSES, WIDTH)) / deviation
    weights = load_file(copy / "model.safetensors")
    weights["answer.weight"] = mixing.astype(np.float16)
    weights["answer.bias"] = (-mixing @ mean).astype(np.float16)
    weights["temperature"] = np.array(0.75, dtype=np.float16)
    save_file(weights, copy / "model.safetensors")
    return copy


@pytest.fixture(scope="module")
def explorer(lively_bundle):
    return JudgeExplorer(open_bundle(lively_bundle))


@pytest.fixture(scope="module")
def model(lively_bundle):
    return Judge.from_pretrained(lively_bundle)


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize("config", [JudgeConfig(), JudgeConfig((8, 16, 24), blocks=2)], ids=str)
def test_it_answers_ten_digits_from_its_features(config, stirred, seeded):
    judge = stirred(Judge(config)).eval()
    x = torch.rand(3, 3, 32, 32, generator=seeded()) * 2 - 1
    with torch.no_grad():
        features, logits = judge.features(x), judge(x)
        assert features.shape == (3, config.channels[-1])
        assert (features >= 0).all()
        assert features.std(dim=0).max() > 0
        assert logits.shape == (3, CLASSES)
        torch.testing.assert_close(judge.logits(features), logits)
        weight, bias = judge.answer.weight, judge.answer.bias
        torch.testing.assert_close(logits, features @ weight.T + bias, rtol=1e-4, atol=1e-5)


def test_a_temperature_divides_the_answer_and_leaves_the_features(tiny_judge, stirred, seeded):
    judge = stirred(Judge(tiny_judge)).eval()
    assert judge.temperature == 1
    x = torch.rand(2, 3, 32, 32, generator=seeded()) * 2 - 1
    with torch.no_grad():
        before, features = judge(x), judge.features(x)
        judge.temperature.fill_(2.5)
        torch.testing.assert_close(judge(x), before / 2.5)
        assert torch.equal(judge.features(x), features)
    assert "temperature" in judge.state_dict()
    assert "temperature" not in dict(judge.named_parameters())


@pytest.mark.parametrize("config", [JudgeConfig(), JudgeConfig((8, 8, 24), blocks=3)], ids=str)
def test_its_parameters_are_those_of_its_layers(config):
    """By hand: 3 x 3 convolutions, their norms, and the skips where the width changes."""
    width = config.channels[0]
    count = 3 * width * 9
    for channels in config.channels:
        for _block in range(config.blocks):
            count += 2 * width + 9 * width * channels + 2 * channels + 9 * channels**2
            count += width * channels if width != channels else 0
            width = channels
    count += 2 * width + width * 10 + 10
    assert sum(parameter.numel() for parameter in Judge(config).parameters()) == count


def test_the_default_is_small():
    assert PRESETS["default"] == JudgeConfig() == Judge().config
    assert 100_000 < sum(parameter.numel() for parameter in Judge().parameters()) <= 500_000


def test_it_looks_at_full_resolution_first_and_halves_twice(stirred, seeded):
    judge = stirred(Judge(JudgeConfig((8, 16, 24), 2))).eval()
    shapes, x = [], torch.randn(1, 3, 32, 32, generator=seeded())
    with torch.no_grad():
        for layer in judge.layers:
            before, x = x, layer(x)
            if isinstance(layer, Residual):
                shapes.append(tuple(x.shape[1:]))
            elif x.shape[-1] < before.shape[-1]:  # the mean of every square of four
                squares = before.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
                torch.testing.assert_close(x, squares.mean(dim=(3, 5)))
    assert shapes == [(8, 32, 32)] * 2 + [(16, 16, 16)] * 2 + [(24, 8, 8)] * 2


def test_features_are_the_mean_over_places_of_the_last_layer(tiny_judge, stirred, seeded):
    judge = stirred(Judge(tiny_judge)).eval()
    x = torch.rand(2, 3, 32, 32, generator=seeded()) * 2 - 1
    with torch.no_grad():
        places = judge.layers(x)
        assert places.shape == (2, WIDTH, 8, 8)
        torch.testing.assert_close(judge.features(x), places.flatten(2).mean(dim=2))


def test_a_block_is_its_formula(stirred, seeded):
    """In eval mode a fresh norm only scales and shifts: skip + conv(relu(norm(conv(a))))."""
    judge = stirred(Judge(JudgeConfig((8, 8, 16), 1))).eval()
    blocks = [layer for layer in judge.layers if isinstance(layer, Residual)]
    assert [isinstance(block.skip, torch.nn.Identity) for block in blocks] == [True, True, False]
    x = torch.randn(2, 8, 8, 8, generator=seeded())

    def norm(layer, h):
        scale = layer.weight / math.sqrt(1 + layer.eps)
        return h * scale.view(-1, 1, 1) + layer.bias.view(-1, 1, 1)

    def conv(layer, h):
        return torch.nn.functional.conv2d(h, layer.weight, padding="same")

    with torch.no_grad():
        for block in blocks[1:]:
            a = norm(block.norm1, x).relu()
            h = conv(block.conv2, norm(block.norm2, conv(block.conv1, a)).relu())
            skip = a if block is blocks[1] else conv(block.skip, a)
            torch.testing.assert_close(block(x), skip + h, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (1, 3, 32, 31), (2, 32, 32, 3)])
def test_pictures_of_another_shape_are_refused(tiny_judge, shape):
    with pytest.raises(ValueError, match=r"^x must be \(B, 3, 32, 32\), got"):
        Judge(tiny_judge)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("named", "wrong"),
    [
        ("channels", {"channels": (8, 8)}),
        ("channels", {"channels": (8, 8, 8, 8)}),
        ("channels", {"channels": (0, 8, 8)}),
        ("channels", {"channels": (8, 8, 1025)}),
        ("blocks", {"blocks": 0}),
        ("channels", {"channels": (8, 8, 9.5)}),
        ("blocks", {"blocks": 9}),
        ("blocks", {"blocks": 1.5}),
    ],
)
def test_an_architecture_that_makes_no_sense_is_refused(named, wrong):
    with pytest.raises(ValueError, match=rf"^{named} must be"):
        JudgeConfig(**wrong)


def test_a_configuration_is_read_back_from_its_plain_values():
    config = JudgeConfig((8, 16, 24), 3)
    assert JudgeConfig(**json.loads(json.dumps(config.plain()))) == config


# ---------------------------------------------------------------- the bundle


def test_a_judge_is_that_of_its_bundle(model, lively_bundle, tiny_judge):
    assert model.config == tiny_judge
    assert not model.training
    stored = load_file(lively_bundle / "model.safetensors")
    assert set(stored) == set(model.state_dict())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), stored[name])
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert model.temperature == 0.75


def test_the_golden_output_is_checked_on_the_files(tiny_judge_bundle):
    assert 0 <= golden_deviation(open_bundle(tiny_judge_bundle)) <= 1e-4


@pytest.mark.parametrize("name", ["answer.bias", "layers.1.conv1.weight", "temperature"])
def test_altered_weights_do_not_pass_the_golden_check(tiny_judge_bundle, tmp_path, name):
    copy = shutil.copytree(tiny_judge_bundle, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    weights[name] = np.asarray(weights[name] * np.float16(0.3) + np.float16(0.01))
    save_file(weights, copy / "model.safetensors")
    with pytest.raises(AtelierError) as caught:
        golden_deviation(open_bundle(copy))
    assert caught.value.code == "bundle-golden"


def altered(bundle, tmp_path, **architecture):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    config["architecture"].update(architecture)
    (copy / "config.json").write_text(json.dumps(config))
    return copy


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": [8, 8]},
        {"channels": [8, 8, 10**9]},
        {"channels": "888"},
        {"channels": None},
        {"channels": [[8], [8], [8]]},
        {"channels": [8.5, 8, 8]},
        {"blocks": 0},
        {"blocks": "1"},
        {"blocks": 1.5},
        {"depth": 3},
    ],
)
def test_a_damaged_configuration_is_refused(tiny_judge_bundle, tmp_path, wrong):
    copy = altered(tiny_judge_bundle, tmp_path, **wrong)
    with pytest.raises(AtelierError) as caught:
        Judge.from_pretrained(copy)
    assert caught.value.code == "bundle-config"


@pytest.mark.parametrize("names", [["0"], [str(digit) for digit in range(11)]])
def test_a_judge_of_other_than_ten_classes_is_refused(tiny_judge_bundle, tmp_path, names):
    copy = altered(tiny_judge_bundle, tmp_path)
    config = json.loads((copy / "config.json").read_text())
    config["data"]["class_names"] = names
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(AtelierError, match=r"data\.class_names") as caught:
        JudgeExplorer(open_bundle(copy))
    assert caught.value.code == "bundle-config"


@pytest.mark.parametrize("other", [{"channels": [8, 8, 16]}, {"blocks": 2}])
def test_weights_of_another_architecture_are_refused(tiny_judge_bundle, tmp_path, other):
    with pytest.raises(AtelierError) as caught:
        JudgeExplorer(open_bundle(altered(tiny_judge_bundle, tmp_path, **other)))
    assert caught.value.code == "bundle-weights"


def test_a_bundle_of_another_family_is_refused(tiny_judge_bundle, tmp_path):
    copy = shutil.copytree(tiny_judge_bundle, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "family": "vae"}))
    with pytest.raises(AtelierError) as caught:
        Judge.from_pretrained(copy)
    assert caught.value.code == "bundle-family"


# ---------------------------------------------------------------- what it sees


def test_verdicts_are_what_the_model_says(explorer, model, digits):
    found = explorer.judge(digits[0])
    with torch.no_grad():
        x = to_tensor(digits[0])
        features, p = model.features(x).numpy(), model(x).softmax(dim=1).numpy()
    assert found.p.shape == (30, 10)
    assert found.features.shape == (30, WIDTH)
    np.testing.assert_allclose(found.p, p, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.features, features, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.p.sum(axis=1), 1, rtol=1e-5)
    assert np.ptp(found.p, axis=0).mean() > 0.2


@pytest.mark.parametrize("shape", [(30,), (1, 30), (5, 6), (2, 3, 5), ()])
def test_any_leading_shape_is_judged_picture_by_picture(explorer, digits, shape):
    flat = explorer.judge(digits[0])
    pictures = digits[0].reshape(*shape, 32, 32, 3) if shape else digits[0][0]
    found = explorer.judge(pictures)
    count = math.prod(shape)
    assert found.p.shape == (*shape, 10)
    assert found.features.shape == (*shape, WIDTH)
    assert found.digit.shape == found.confidence.shape == found.sure.shape == shape
    np.testing.assert_allclose(found.p.reshape(-1, 10), flat.p[:count], atol=1e-4)
    np.testing.assert_allclose(found.features.reshape(-1, WIDTH), flat.features[:count], atol=1e-4)


@pytest.mark.parametrize("batch", [1, 7, 29, 30, 31])
def test_batches_change_nothing(explorer, digits, batch, monkeypatch):
    expected = explorer.judge(digits[0])
    monkeypatch.setattr(judge_explorer, "BATCH", batch)
    found = explorer.judge(digits[0])
    np.testing.assert_allclose(found.p, expected.p, atol=1e-4)
    np.testing.assert_allclose(found.features, expected.features, atol=1e-4)


def test_the_digit_is_the_likeliest_and_sure_from_a_confidence_on():
    p = np.full((2, 3, 10), 0.01)
    p[0, 0, 7], p[0, 1, 2], p[0, 2, 0], p[1, 0, 9], p[1, 1, 3], p[1, 2, 5] = (
        0.91, SURE, 0.8999, 0.5, 0.95, 0.02
    )  # fmt: skip
    found = Verdicts(p, np.zeros((2, 3, 4)))
    assert found.digit.tolist() == [[7, 2, 0], [9, 3, 5]]
    assert found.confidence.tolist() == [[0.91, 0.9, 0.8999], [0.5, 0.95, 0.02]]
    assert found.sure.tolist() == [[True, True, False], [False, True, False]]


def test_visitors_at_once_see_what_each_would_see_alone(explorer, digits):
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda row: explorer.judge(digits[0][row]), range(12)))
    for row, one in enumerate(found):
        np.testing.assert_allclose(one.p, explorer.judge(digits[0][row]).p, atol=1e-4)


# ---------------------------------------------------------------- next to what came back


def test_rules_say_when_a_picture_counts_as_restored(explorer, tiny_judge_bundle):
    metrics = json.loads((tiny_judge_bundle / "metrics.json").read_text())
    median = metrics["features"]["median_distance_other_digit"]
    assert median > 0
    assert explorer.rules() == {
        "digit": Rule(0.5, higher=True, share=True),
        "psnr": Rule(15.0, higher=True, share=False),
        "ssim": Rule(0.5, higher=True, share=False),
        "features": Rule(median, higher=False, share=False),
    }


@pytest.fixture(scope="module")
def came_back(digits):
    """(3, 2, 4): the first draw a copy, the others ever more another picture."""
    pictures = digits[0][:3]
    rng = np.random.default_rng(0)
    restored = np.empty((3, 2, 4, 32, 32, 3), dtype=np.uint8)
    for row in range(2):
        for draw in range(4):
            other = rng.permutation(digits[0])[:3].astype(float)
            share = draw / 3 * (0.5 + row / 2)
            restored[:, row, draw] = ((1 - share) * pictures + share * other).round()
    return pictures, restored


def test_scores_are_those_of_every_pair(explorer, came_back):
    pictures, restored = came_back
    found = explorer.compare(pictures, restored)
    assert set(found.scores) == set(explorer.rules())
    for values in found.scores.values():
        assert values.shape == (3, 2, 4)
        assert values.dtype == np.float64 or values.dtype == np.float32
    for p, row, draw in np.ndindex(3, 2, 4):
        before, after = explorer.judge(pictures[p]), explorer.judge(restored[p, row, draw])
        a, b = to_tensor(pictures[p : p + 1]), to_tensor(restored[p, row, draw][None])
        place = (p, row, draw)
        scores = {name: values[place] for name, values in found.scores.items()}
        assert scores["digit"] == float(before.p.argmax() == after.p.argmax())
        assert scores["psnr"] == pytest.approx(psnr(a, b).item())
        assert scores["ssim"] == pytest.approx(ssim(a, b).item())
        gap = np.linalg.norm(before.features - after.features)
        assert scores["features"] == pytest.approx(gap, rel=1e-3, abs=1e-4)
        np.testing.assert_allclose(found.after.p[place], after.p, atol=1e-4)
        np.testing.assert_allclose(found.after.features[place], after.features, atol=1e-4)
    np.testing.assert_allclose(found.before.p, explorer.judge(pictures).p, atol=1e-4)


def test_what_came_back_unchanged_has_the_best_scores(explorer, came_back):
    pictures, restored = came_back
    scores = explorer.compare(pictures, restored).scores
    assert (scores["digit"][..., 0] == 1).all()
    assert (scores["psnr"][..., 0] == math.inf).all()
    np.testing.assert_allclose(scores["ssim"][..., 0], 1)
    np.testing.assert_allclose(scores["features"][..., 0], 0, atol=1e-4)
    assert (scores["psnr"][..., 3] < 30).all()
    assert (scores["features"][..., 3] > 0.01).any()


def test_a_digit_is_compared_with_that_of_its_own_picture(explorer, digits):
    pictures = digits[0]
    answers = explorer.judge(pictures).digit
    assert len(set(answers.tolist())) > 3
    restored = np.broadcast_to(pictures, (30, 30, 32, 32, 3))[:, :, None]  # all with all
    same = explorer.compare(pictures, restored).scores["digit"][..., 0]
    assert np.array_equal(same, (answers[:, None] == answers[None]).astype(float))


# ---------------------------------------------------------------- sets of pictures


def test_the_test_digits_are_summed_up_as_in_the_bundle(explorer, tiny_judge_bundle, svhn_folder):
    found = explorer.test_digits()
    assert found.mean.dtype == found.covariance.dtype == np.float64
    profiles = load_file(tiny_judge_bundle / "profiles.safetensors")
    assert np.array_equal(found.mean, profiles["feature_mean"])
    assert np.array_equal(found.covariance, profiles["feature_covariance"])


def test_quality_of_the_test_digits_themselves(explorer, make_digits):
    """The digits that the bundle was measured on."""
    pictures, _labels = make_digits(40, 1)
    found, seen = explorer.quality(pictures), explorer.judge(pictures)
    assert found.count == 40
    assert found.diversity == pytest.approx(1, rel=1e-4)
    spread = float(np.square(seen.features.std(axis=0)).sum())
    assert found.frechet == pytest.approx(0, abs=1e-3 * spread)
    direct = Gaussian.of(seen.features)
    np.testing.assert_allclose(explorer.test_digits().mean, direct.mean, rtol=1e-3, atol=1e-5)


def test_quality_is_made_of_its_parts(explorer, digits, make_digits):
    pictures = digits[0] // 2
    seen = explorer.judge(pictures)
    found = explorer.quality(pictures)
    assert seen.sure.sum() > 0
    assert found.sure == seen.sure.mean()
    expected = [int(((seen.digit == digit) & seen.sure).sum()) for digit in range(10)]
    assert found.digits.tolist() == expected
    assert sum(expected) == round(30 * found.sure)
    real = explorer.bundle.metrics["features"]["mean_distance"]
    rows = seen.features.astype(float)
    apart = [np.linalg.norm(a - b) for i, a in enumerate(rows) for b in rows[:i]]
    assert found.diversity == pytest.approx(np.mean(apart) / real, rel=1e-5)
    test_features = explorer.judge(make_digits(40, 1)[0]).features
    assert found.frechet == pytest.approx(frechet_distance(seen.features, test_features), rel=1e-2)
    assert found.frechet > 0
    across = np.abs(np.diff(pictures.astype(float), axis=2)).mean()
    down = np.abs(np.diff(pictures.astype(float), axis=1)).mean()
    assert found.sharpness == pytest.approx((across + down) / 2)


@pytest.mark.parametrize("sure_from", [0.0, 0.5, 0.75, 1.1])
def test_from_which_probability_it_is_sure_can_be_moved(explorer, digits, sure_from):
    seen = explorer.judge(digits[0])
    found = explorer.quality(digits[0], sure_from=sure_from)
    sure = seen.p.max(axis=1) >= sure_from
    assert found.sure == sure.mean()
    assert found.digits.tolist() == [int((seen.digit[sure] == d).sum()) for d in range(10)]


def test_a_judge_that_is_never_sure_counts_no_digits(tiny_judge_bundle, digits):
    found = JudgeExplorer(open_bundle(tiny_judge_bundle)).quality(digits[0])
    assert found.sure == 0
    assert found.digits.tolist() == [0] * 10


def test_copies_have_no_diversity(explorer, digits):
    found = explorer.quality(digits[0][:1].repeat(5, axis=0))
    assert found.diversity == pytest.approx(0, abs=1e-3)
    assert math.isfinite(found.frechet)


def test_a_single_picture_has_no_frechet_distance(explorer, digits):
    found = explorer.quality(digits[0][:1])
    assert (found.count, found.diversity) == (1, 0)
    assert math.isnan(found.frechet)


def test_the_mean_distance_is_that_of_different_rows():
    rows = np.array([[0.0, 0], [3, 0], [0, 4]])
    assert mean_distance(rows) == pytest.approx(4)
    assert mean_distance(rows[:1]) == 0
    assert mean_distance(rows[[0, 0]]) == 0
    big = 1000 + rows.astype(np.float32) / 1000  # in double: float32 would lose it
    expected = np.mean(
        [np.linalg.norm(big[i].astype(float) - big[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    )
    assert mean_distance(big) == pytest.approx(expected, rel=1e-9)


# ---------------------------------------------------------------- fooling it


@pytest.mark.parametrize("kind", ["fgsm", "pgd"])
@pytest.mark.parametrize("levels", [1, 8, 40])
def test_an_attack_changes_a_value_by_so_many_grey_levels_at_most(explorer, digits, kind, levels):
    pictures = digits[0][:6].copy()
    pictures[0, 0], pictures[0, 1] = 0, 255  # at the ends of the range nothing wraps around
    found = explorer.attack(pictures, digits[1][:6], kind, levels=levels, steps=4)
    assert found.dtype == np.uint8
    assert found.shape == pictures.shape
    change = np.abs(found.astype(int) - pictures)
    assert change.max() == levels
    if kind == "fgsm":  # all the way, but where the range ends or nothing depends on the value
        room = (pictures >= levels) & (pictures <= 255 - levels)
        assert np.isin(change[room], (0, levels)).all()
        assert (change[room] == levels).mean() > 0.9


@pytest.mark.parametrize("kind", ["fgsm", "pgd"])
def test_an_attack_leads_away_from_the_labels(explorer, digits, kind):
    pictures, labels = digits[0][:8], digits[1][:8]
    before = explorer.judge(pictures).p[np.arange(8), labels]
    after = explorer.judge(explorer.attack(pictures, labels, kind)).p[np.arange(8), labels]
    assert (after < before).all()


@pytest.mark.parametrize("kind", ["fgsm", "pgd"])
def test_no_room_or_none_to_go_leaves_the_picture(explorer, digits, kind):
    found = explorer.attack(digits[0][:3], digits[1][:3], kind, levels=0)
    assert np.array_equal(found, digits[0][:3])


def test_attacks_follow_their_seed_and_a_picture_its_own(explorer, digits):
    pictures, labels = digits[0][:4], digits[1][:4]

    def attack(seed, rows=slice(None), kind="pgd"):
        options = {"steps": 2, "levels": 20, "seed": seed}
        return explorer.attack(pictures[rows], labels[rows], kind, **options).astype(int)

    first = attack(5)
    assert np.array_equal(first, attack(5))
    assert not np.array_equal(first, attack(6))
    assert np.array_equal(attack(5, kind="fgsm"), attack(6, kind="fgsm"))
    # Picture 2 starts from seed 5 + 2; a gradient near 0 may change its sign by rounding.
    assert (np.abs(attack(7, slice(2, 3))[0] - first[2]) <= 1).mean() > 0.99
    assert (np.abs(attack(5, slice(2, 3))[0] - first[2]) <= 1).mean() < 0.95


def test_an_attack_is_that_of_the_judge_itself(explorer, model, digits):
    pictures, labels = digits[0][:3], digits[1][:3]
    x = to_tensor(pictures).requires_grad_()
    loss = torch.nn.functional.cross_entropy(model(x), torch.from_numpy(labels))
    (gradient,) = torch.autograd.grad(loss, x)
    expected = to_pictures((x + 12 * 2 / 255 * gradient.sign()).clamp(-1, 1))
    found = explorer.attack(pictures, labels, "fgsm", levels=12)
    assert (found == expected).mean() > 0.999
    assert np.array_equal(
        explorer.attack(pictures, labels.tolist(), "fgsm"),
        explorer.attack(pictures, labels.astype(np.int32), "fgsm", levels=8),
    )


def test_an_attack_that_does_not_exist_is_refused(explorer, digits):
    with pytest.raises(ValueError, match=r"^kind must be one of \('fgsm', 'pgd'\), got 'cw'"):
        explorer.attack(digits[0][:1], digits[1][:1], "cw")


def test_nothing_an_explorer_does_changes_it(explorer, digits, came_back):
    weights = {name: value.clone() for name, value in explorer._model.state_dict().items()}
    before = torch.random.get_rng_state()
    explorer.attack(digits[0][:2], digits[1][:2], "pgd", steps=2)
    explorer.compare(*came_back)
    explorer.quality(digits[0])
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, value in explorer._model.state_dict().items():
        assert torch.equal(value, weights[name])
    assert all(parameter.grad is None for parameter in explorer._model.parameters())


def test_an_explorer_knows_its_classes(explorer):
    assert explorer.class_names == tuple("0123456789")
