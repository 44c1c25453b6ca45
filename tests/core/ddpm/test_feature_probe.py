"""What a linear classifier reads from the layers of a U-Net: against scikit-learn, and where one knows it."""

import json

import numpy as np
import pytest
import torch

from core.ddpm.feature_probe import noise_of, pooled_features, probe_layers
from core.ddpm.schedule import NoiseSchedule
from core.ddpm.unet import UNet, UNetConfig

TINY = UNetConfig(channels=(8, 16, 24), time_width=16, attention=(False, False, False))
SCHEDULE = NoiseSchedule.linear(1000)
CLASSES = 3


@pytest.fixture(scope="module")
def unet():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet(TINY).eval()


def side(count, seed):
    """Pictures whose class is how bright the upper half is, under noise of their own."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    x0 = 0.3 * torch.randn(count, 3, 32, 32, generator=generator)
    x0[:, :, :16] += (labels.float() - 1)[:, None, None, None] * 0.4
    return x0, labels


def held(unet, x_t, t):
    """All layers of pictures with noise, one picture at a time."""
    found = {}
    for picture in x_t:
        with torch.no_grad():
            unet(
                picture[None],
                torch.tensor([t]),
                lambda layer, h: found.setdefault(layer, []).append(h[0].double().numpy()),
            )
    return {layer: np.stack(rows) for layer, rows in found.items()}


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_features_are_means_over_parts_of_the_noisy_picture(unet, parts):
    (x0, _labels), noise, t = side(5, 1), noise_of(5, 7), 300
    kept = SCHEDULE.alphas_cumprod[t].item()
    x_t = (kept**0.5 * x0.double() + (1 - kept) ** 0.5 * noise.double()).float()
    found = pooled_features(unet, SCHEDULE, x0, t, noise, parts, batch=2)
    assert tuple(found) == unet.layers()
    for layer, h in held(unet, x_t, t).items():
        side_ = h.shape[-1] // parts
        for across in range(parts):
            for down in range(parts):
                rows, columns = (slice(i * side_, (i + 1) * side_) for i in (down, across))
                expected = h[:, :, rows, columns].mean(axis=(2, 3))
                shown = found[layer].reshape(5, -1, parts, parts)[:, :, down, across]
                np.testing.assert_allclose(shown.numpy(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("parts", [1, 2])
def test_every_cell_is_as_often_right_as_a_classifier_of_scikit_learn(unet, parts):
    module = pytest.importorskip("sklearn.linear_model", reason="the second opinion here")
    known, asked, levels, seed = side(90, 2), side(80, 3), [200], 5
    found = probe_layers(unet, SCHEDULE, (known, asked), levels, CLASSES, parts=parts, seed=seed)

    def right(x, test_x):
        x, test_x = x.double().numpy(), test_x.double().numpy()
        mean, std = x.mean(axis=0), x.std(axis=0)
        reader = module.LogisticRegression(C=1 / (found.penalty * len(x)), tol=1e-8, max_iter=2000)
        reader.fit((x - mean) / std, known[1].numpy())
        return reader.score((test_x - mean) / std, asked[1].numpy())

    for place, t in enumerate(levels):
        x, test_x = (
            pooled_features(unet, SCHEDULE, one[0], t, noise_of(len(one[0]), seed + i), parts)
            for i, one in enumerate((known, asked))
        )
        for layer, shares in found.accuracy.items():
            assert shares[place] == pytest.approx(right(x[layer], test_x[layer]), abs=0.02)
    assert found.pixels == pytest.approx(right(known[0].flatten(1), asked[0].flatten(1)), abs=0.02)
    most = int(known[1].bincount().argmax())
    assert found.most_common == pytest.approx(float((asked[1] == most).double().mean()))
    assert found.t == (201,)
    assert (found.train_pictures, found.test_pictures) == (90, 80)


def test_noise_hides_a_class_and_quarters_show_where_it_is(unet):
    """Little noise, and the class is read; only noise, and it is guessed; halves that cancel need parts."""

    def cancelling(count, seed):
        labels = torch.arange(count) % CLASSES
        x0 = 0.05 * torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
        bright = (labels.float() - 1)[:, None, None, None] * 0.4
        x0[:, :, 6:14, 6:26] += bright
        x0[:, :, 18:26, 6:26] -= bright  # far from the edge, whose padding would tell
        return x0, labels

    sets = (cancelling(90, 4), cancelling(90, 5))
    whole, parted = (
        probe_layers(unet, SCHEDULE, sets, [0, 999], CLASSES, parts=parts) for parts in (1, 2)
    )
    assert parted.accuracy["stem"][0] > 0.95
    assert parted.accuracy["stem"][1] < 0.5
    assert whole.accuracy["stem"][0] < parted.accuracy["stem"][0] - 0.1
    assert parted.pixels > 0.95


def test_the_same_seed_gives_the_same_figures_and_json_keeps_them(unet):
    sets = (side(40, 6), side(20, 7))
    first, again = (probe_layers(unet, SCHEDULE, sets, [100], CLASSES).figures() for _ in range(2))
    assert first == again
    assert json.loads(json.dumps(first)) == first
    assert list(first["accuracy"]) == list(unet.layers())


@pytest.mark.parametrize("levels", [[], [-1], [1000]])
def test_levels_that_are_not_there_are_refused(unet, levels):
    with pytest.raises(ValueError, match=r"^levels must be 0 to 999"):
        probe_layers(unet, SCHEDULE, (side(4, 8), side(4, 9)), levels, CLASSES)
