import math
import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from core.errors import AtelierError
from core.families import open_bundle
from core.pictures.images import to_pictures, to_tensor
from core.vae.bounds import NLL_CONSTANT
from core.vae.explorer import VAEExplorer, Walk, golden_deviation
from core.vae.latents import interpolate_latents
from core.vae.model import VAE


@pytest.fixture(scope="module")
def explorer(tiny_bundle):
    return VAEExplorer(open_bundle(tiny_bundle))


@pytest.fixture(scope="module")
def model(tiny_bundle):
    return VAE.from_pretrained(tiny_bundle)


@pytest.fixture
def digits(make_digits):
    return make_digits(10, 9)


def test_encode_is_that_of_the_model(explorer, model, digits):
    found = explorer.encode(digits[0])
    with torch.no_grad():
        expected = model.encode(to_tensor(digits[0]))
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-5)
    np.testing.assert_allclose(found.std, expected.std, atol=1e-5)
    np.testing.assert_allclose(found.kl_per_unit, expected.kl_per_unit(), atol=1e-4)


def test_decode_is_that_of_the_model_in_any_number(explorer, model):
    z = explorer.prior(0, 600)
    found = explorer.decode(z)
    assert found.shape == (600, 32, 32, 3)
    with torch.no_grad():
        expected = to_pictures(model.decode(torch.from_numpy(z[[0, 299, 599]])).mean)
    assert np.abs(found[[0, 299, 599]].astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    "name",
    [
        "kl_per_unit",
        "unit_variance",
        "class_mean",
        "class_std",
        "class_count",
        "ppca_mean",
        "ppca_loadings",
    ],
)
def test_statistics_of_another_shape_than_the_network_are_refused(tiny_bundle, tmp_path, name):
    copy = shutil.copytree(tiny_bundle, tmp_path / "copy")
    arrays = load_file(copy / "profiles.safetensors")
    arrays[name] = np.ascontiguousarray(arrays[name][:-1])
    save_file(arrays, copy / "profiles.safetensors")
    with pytest.raises(AtelierError, match=r"profiles\.safetensors") as caught:
        VAEExplorer(open_bundle(copy))
    assert caught.value.code == "bundle-damaged"


def test_prior_draws_follow_their_seed_and_temperature(explorer):
    z = explorer.prior(3, 5)
    assert np.array_equal(z, explorer.prior(3, 5))
    assert not np.array_equal(z, explorer.prior(4, 5))
    np.testing.assert_allclose(explorer.prior(3, 5, temperature=0.5), z / 2)
    assert (explorer.prior(3, 5, temperature=0.0) == 0).all()


def test_a_traversal_changes_one_unit_alone(explorer):
    z = explorer.prior(1)[0]
    values = [-2.0, float(z[2]), 2.0]
    found = explorer.traverse(z, 2, values)
    for picture, value in zip(found, values, strict=True):
        moved = z.copy()
        moved[2] = value
        assert np.abs(picture.astype(int) - explorer.decode(moved[None])[0]).max() <= 1
    assert z.shape == (4,)
    for wrong in (-1, 4):
        with pytest.raises(ValueError, match=r"^unit must be 0 to 3"):
            explorer.traverse(z, wrong, values)


@pytest.mark.parametrize("kind", ["linear", "spherical"])
def test_a_walk_shows_the_points_between_its_ends(explorer, kind):
    a, b = explorer.prior(5, 2)
    walk = explorer.walk(a, b, 6, kind)
    expected = interpolate_latents(torch.from_numpy(a), torch.from_numpy(b), 6, kind)
    np.testing.assert_allclose(walk.latents, expected, atol=1e-6)
    np.testing.assert_allclose(walk.norm, np.linalg.norm(expected, axis=1), rtol=1e-5)
    assert np.abs(walk.pictures.astype(int) - explorer.decode(walk.latents)).max() <= 1
    levels = walk.pictures.astype(float) / 127.5
    change = np.sqrt(np.square(np.diff(levels, axis=0)).mean((1, 2, 3)))
    np.testing.assert_allclose(walk.change, change, atol=5e-3)


def test_unevenness_is_one_for_equal_steps():
    def walk(*change):
        blank = np.zeros((len(change) + 1, 2))
        return Walk("linear", blank, blank, blank, np.array(change))

    assert walk(0.2, 0.2, 0.2).unevenness == pytest.approx(1)
    assert walk(0.1, 0.3, 0.2).unevenness == pytest.approx(1.5)
    assert walk(0.0, 0.0).unevenness == 1


def test_a_profile_is_made_of_the_means_of_a_class(explorer, digits):
    pictures, labels = digits
    found = explorer.profile(np.concatenate([pictures, pictures[::-1]]), np.tile(labels, 2), 10)
    mean = explorer.encode(np.concatenate([pictures, pictures[::-1]])).mean
    np.testing.assert_allclose(found.mean[3], (mean[3] + mean[13]) / 2, atol=1e-5)
    assert found.count.tolist() == [2] * 10


def test_units_are_ordered_by_what_they_tell(explorer):
    assert (np.diff(explorer.kl_per_unit[explorer.order]) <= 0).all()
    assert sorted(explorer.order) == [0, 1, 2, 3]


def test_evidence_is_made_of_its_parts(explorer, model, digits):
    picture = digits[0][7]
    evidence = explorer.evidence(picture, draws=2000, seed=1)
    x = to_tensor(picture[None])
    with torch.no_grad():
        q = model.encode(x)
        z = torch.cat([q.sample(torch.Generator().manual_seed(seed)) for seed in range(500)])
        nll = model.decode(z).nll(x.expand(500, -1, -1, -1))
    spread = nll.std().item() * math.sqrt(1 / 500 + 1 / 2000)
    assert abs(evidence.nll - nll.mean().item()) < 5 * spread + 1e-2
    assert evidence.kl == pytest.approx(q.kl().item(), rel=1e-5)
    assert evidence.kl_per_unit.sum() == pytest.approx(evidence.kl, rel=1e-5)
    assert evidence.negative_elbo == evidence.nll + evidence.kl
    assert evidence.misfit == pytest.approx(evidence.nll - NLL_CONSTANT)
    assert evidence.linear_nll == pytest.approx(
        explorer.linear.nll(x.flatten(1).numpy())[0], rel=1e-9
    )
    with torch.no_grad():
        restored = to_pictures(model.decode(q.mean).mean)[0]
    assert np.abs(evidence.reconstruction.astype(int) - restored).max() <= 1


def test_the_linear_reconstruction_is_the_picture_in_the_plane_of_the_components(explorer, digits):
    flat = to_tensor(digits[0][2:3]).flatten(1).double().numpy()
    linear = explorer.linear
    restored = linear.decode(linear.encode(flat)).reshape(3, 32, 32).transpose(1, 2, 0)
    expected = ((restored + 1) * 127.5).round().clip(0, 255)
    found = explorer.evidence(digits[0][2]).linear_reconstruction
    assert np.abs(found - expected).max() <= 1


def test_the_bound_curve_tightens_and_counts_its_draws(explorer, digits):
    curves = list(explorer.bound_curve(digits[0][4], most=250, repeats=6, seed=0))
    last = curves[-1]
    assert [point.K for point in last.points] == [1, 2, 5, 10, 20, 50, 100, 200]
    done = [curve.done for curve in curves]
    assert done == sorted(set(done))
    assert done[-1] == 1200
    assert {curve.total for curve in curves} == {1200}
    for curve in curves:
        assert [point.K for point in curve.points] == [
            point.K for point in last.points if curve.done >= 6 * point.K
        ]
    for earlier, later in pairwise(curves):
        assert later.points[: len(earlier.points)] == earlier.points
    assert last.points[-1].nll < last.points[0].nll
    assert last.points[0].effective_sample_size == pytest.approx(1)
    assert all(1 <= point.effective_sample_size <= point.K + 1e-6 for point in last.points)
    assert last.points[0].spread > 0


def test_a_bound_curve_of_one_draw_is_on_average_the_elbo(explorer, digits):
    picture = digits[0][4]
    (curve,) = explorer.bound_curve(picture, most=1, repeats=3000, seed=3)
    elbo = explorer.evidence(picture, draws=3000, seed=4).negative_elbo
    point = curve.points[0]
    assert abs(point.nll - elbo) < 8 * point.spread / math.sqrt(3000) + 1e-2


def test_a_bound_curve_follows_its_seed(explorer, digits):
    def last(seed):
        return list(explorer.bound_curve(digits[0][0], most=5, repeats=2, seed=seed))[-1].points

    assert last(1) == last(1)
    assert last(1) != last(2)


@pytest.mark.parametrize("wrong", [{"most": 0, "repeats": 4}, {"most": 5, "repeats": 1}])
def test_an_empty_bound_curve_is_refused(explorer, digits, wrong):
    with pytest.raises(ValueError, match=r"^most must"):
        next(explorer.bound_curve(digits[0][0], **wrong, seed=0))


def test_weights_at_rising_K_are_those_of_the_same_draws(explorer, model, digits):
    picture = digits[0][4]
    found = explorer.weights(picture, levels=(1, 4, 40), shown=5, seed=2)
    with torch.no_grad():
        log_w = model.log_importance_weights(
            to_tensor(picture[None]), 40, generator=torch.Generator().manual_seed(2)
        )[0]
    log_w = log_w.double().numpy()
    assert [one.K for one in found] == [1, 4, 40]
    for one in found:
        first = log_w[: one.K]
        w = np.exp(first - first.max())
        shares = np.sort(w / w.sum())[::-1]
        np.testing.assert_allclose(one.largest, shares[:5], atol=2e-4)
        assert one.rest == pytest.approx(shares[5:].sum(), abs=2e-4)
        assert one.nll == pytest.approx(math.log(one.K) - np.logaddexp.reduce(first), abs=1e-3)
        assert one.effective_sample_size == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-3)
        assert one.log_largest == pytest.approx(first.max(), abs=1e-3)
        assert one.nll_of_mean == math.inf
    assert len(found[1].largest) == 4
    assert found[0].rest == found[1].rest == 0


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"levels": ()}, "levels"), ({"levels": (4, 2)}, "levels"), ({"shown": 0}, "shown")],
)
def test_weights_of_nothing_are_refused(explorer, digits, wrong, named):
    request = {"levels": (1, 2), "shown": 3} | wrong
    with pytest.raises(ValueError, match=f"^{named} must"):
        explorer.weights(digits[0][0], **request, seed=0)


def test_nothing_an_explorer_does_touches_the_global_generator(explorer, digits):
    before = torch.random.get_rng_state()
    explorer.evidence(digits[0][0])
    explorer.prior(0)
    list(explorer.bound_curve(digits[0][0], most=2, repeats=2, seed=0))
    explorer.weights(digits[0][0], levels=(1, 2), shown=1, seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_golden_output_is_checked_on_the_files(tiny_bundle):
    assert golden_deviation(open_bundle(tiny_bundle)) <= 1e-4


def test_altered_weights_do_not_pass_the_golden_check(tiny_bundle, tmp_path):
    copy = shutil.copytree(tiny_bundle, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    weights["mean.bias"] += np.float16(0.01)
    save_file(weights, copy / "model.safetensors")
    with pytest.raises(AtelierError) as caught:
        golden_deviation(open_bundle(copy))
    assert caught.value.code == "bundle-golden"
