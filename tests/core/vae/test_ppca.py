import numpy as np
import pytest

from core.vae.ppca import ProbabilisticPCA, fit


@pytest.fixture
def planted():
    rng = np.random.default_rng(0)
    orthogonal, _ = np.linalg.qr(rng.normal(size=(6, 2)))
    return ProbabilisticPCA(rng.normal(size=6), orthogonal * [3.0, 1.5])


def sampled(model, count, seed=1):
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(count, model.components))
    return model.decode(latent) + rng.normal(size=(count, len(model.mean)))


def test_nll_is_that_of_the_multivariate_normal(planted):
    stats = pytest.importorskip("scipy.stats", reason="scipy is the second opinion here")
    x = sampled(planted, 20)
    covariance = planted.loadings @ planted.loadings.T + np.eye(6)
    expected = -stats.multivariate_normal(planted.mean, covariance).logpdf(x)
    np.testing.assert_allclose(planted.nll(x), expected, rtol=1e-10)


def test_nll_without_components_is_that_of_unit_noise():
    model = ProbabilisticPCA(np.zeros(3), np.zeros((3, 0)))
    x = np.array([[1.0, 2.0, 2.0]])
    np.testing.assert_allclose(model.nll(x), [0.5 * 9 + 1.5 * np.log(2 * np.pi)])


def test_fit_recovers_a_planted_model(planted):
    found = fit(sampled(planted, 40_000))
    assert found.components >= 2
    np.testing.assert_allclose(found.mean, planted.mean, atol=0.1)
    wanted = planted.loadings @ planted.loadings.T
    np.testing.assert_allclose(found.loadings @ found.loadings.T, wanted, atol=0.25)


@pytest.mark.parametrize("count", [5, 200])
def test_fit_is_a_maximum_of_the_likelihood(planted, count):
    x = sampled(planted, count)
    found = fit(x)
    best = found.nll(x).mean()
    rng = np.random.default_rng(2)
    for _ in range(20):
        step = 0.05 * rng.normal(size=found.loadings.shape)
        assert ProbabilisticPCA(found.mean, found.loadings + step).nll(x).mean() > best
        shift = 0.05 * rng.normal(size=6)
        assert ProbabilisticPCA(found.mean + shift, found.loadings).nll(x).mean() > best


def test_every_component_lowers_the_nll(planted):
    x = sampled(planted, 200)
    nll = [fit(x, q).nll(x).mean() for q in range(fit(x).components + 1)]
    assert len(nll) > 2
    assert (np.diff(nll) < 0).all()


@pytest.mark.parametrize("shape", [(300, 8), (8, 300)])
def test_loadings_hold_the_eigenvalues_of_pca_less_the_noise(shape):
    decomposition = pytest.importorskip(
        "sklearn.decomposition", reason="scikit-learn is the second opinion here"
    )
    x = np.random.default_rng(3).normal(scale=np.linspace(0.2, 3, shape[1]), size=shape)
    found = fit(x)
    reference = decomposition.PCA(svd_solver="full").fit(x)
    eigenvalues = reference.explained_variance_ * (len(x) - 1) / len(x)
    assert found.components == (eigenvalues > 1).sum() > 0
    lengths = np.square(found.loadings).sum(0)
    np.testing.assert_allclose(lengths, eigenvalues[: found.components] - 1, rtol=1e-8)
    directions = found.loadings / np.sqrt(lengths)
    overlap = np.abs((directions * reference.components_[: found.components].T).sum(0))
    np.testing.assert_allclose(overlap, 1, rtol=1e-8)


def test_few_pictures_give_the_model_of_the_full_covariance():
    x = np.random.default_rng(4).normal(scale=2, size=(20, 60))
    found = fit(x)
    eigenvalues, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    useful = eigenvalues > 1
    expected = (vectors[:, useful] * (eigenvalues[useful] - 1)) @ vectors[:, useful].T
    np.testing.assert_allclose(found.loadings @ found.loadings.T, expected, atol=1e-10)


def test_encode_is_the_mean_of_the_posterior():
    model = ProbabilisticPCA(np.array([1.0, -1.0]), np.array([[2.0], [0.0]]))
    np.testing.assert_allclose(model.encode(np.array([[6.0, 9.0]])), [[2 * 5 / (1 + 4)]])


def test_encode_agrees_with_conditioning_the_joint_gaussian(planted):
    x = sampled(planted, 5)
    loadings = planted.loadings
    covariance = loadings @ loadings.T + np.eye(6)
    expected = (x - planted.mean) @ np.linalg.inv(covariance) @ loadings
    np.testing.assert_allclose(planted.encode(x), expected)


def test_decode_is_linear():
    model = ProbabilisticPCA(np.array([1.0, -1.0]), np.array([[2.0], [3.0]]))
    np.testing.assert_allclose(model.decode(np.array([[0.0], [2.0]])), [[1, -1], [5, 5]])


def test_more_components_than_eigenvalues_above_one_are_refused(planted):
    x = sampled(planted, 200)
    useful = fit(x).components
    for wrong in (-1, useful + 1):
        with pytest.raises(ValueError, match=rf"^components must be 0 to {useful}.*{wrong}"):
            fit(x, wrong)


@pytest.mark.parametrize("shape", [(1, 4), (4,)])
def test_fit_needs_several_rows(shape):
    with pytest.raises(ValueError, match=r"^x must"):
        fit(np.zeros(shape))


def test_loadings_of_another_length_than_the_mean_are_refused():
    with pytest.raises(ValueError, match="loadings"):
        ProbabilisticPCA(np.zeros(3), np.zeros((4, 2)))
