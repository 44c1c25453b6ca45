import json
import math
import shutil
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch.nn import functional as F

from core.bundles.bundle import write_bundle
from core.contents import RUN_FIGURES as FIGURES
from core.errors import AtelierError
from core.families import open_bundle
from core.pictures import images
from core.simsiam import methods, views
from core.simsiam.barlow_twins import BarlowTwins
from core.simsiam.byol import BYOL, BYOLConfig
from core.simsiam.dssl import DSSL
from core.simsiam.explorer import SimSiamExplorer, golden_deviation, golden_outputs
from core.simsiam.run_record import read_run
from core.simsiam.simsiam import SimSiam
from core.simsiam.vicreg import VICReg
from core.simsiam.views import HARDER, STANDARD, Views
from tests.narrow import without_onednn
from train.simsiam import trainer as simsiam
from train.simsiam.diagnosis import Protocol

CPU = torch.device("cpu")
SIZE = MappingProxyType(
    {"width": 2, "stem": "strided", "hidden": 16, "dim": 12, "predictor_hidden": 6}
)
SEED = 2**40 + 3
BANK, QUERIES, EPOCHS = 96, 40, 2
NEUTRAL = Views(crop=1.0, flip=0.0, jitter=0.0, grey=0.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory, make_digits, write_shard):
    """Runs of drawn digits in the layout of CIFAR-10: the folder of a method's bundle."""
    root = tmp_path_factory.mktemp("simsiam")
    for split, count, seed in (("train", BANK, 0), ("test", QUERIES, 1)):
        file = root / f"uoft-cs/cifar10/plain_text/{split}-00000-of-00001.parquet"
        write_shard(file, *make_digits(count, seed), image_column="img")

    def bundle_of(method="simsiam"):
        if not (root / method / "bundle").exists():
            training = simsiam.SimSiamTraining(
                epochs=EPOCHS,
                batch_size=32,
                warmup_steps=1,
                seed=SEED,
                protocol=Protocol(spread=30, queries=20, bank=50, k=5),
            )
            config = methods.method_class(method).config_class(**SIZE)
            with without_onednn(), pytest.MonkeyPatch.context() as patch:
                patch.setenv("ATELIER_DATA_DIR", str(root))
                simsiam.start(root / method, (method, config), training, device=CPU)
        return root / method / "bundle"

    return bundle_of


@pytest.fixture
def bundle(run):
    return open_bundle(run())


@pytest.fixture
def copied(run, tmp_path):
    """The bundle with something changed in one of its JSON files."""

    def make(file=None, change=lambda value: None):
        folder = shutil.copytree(run(), tmp_path / "copy")
        if file is not None:
            value = json.loads((folder / file).read_text())
            change(value)
            (folder / file).write_text(json.dumps(value))
        return open_bundle(folder)

    return make


@pytest.fixture
def explorer(bundle):
    return SimSiamExplorer(bundle)


@pytest.fixture(scope="module")
def pictures(make_digits):
    return make_digits(12, 9)[0]


def record(bundle, folder):
    """What is left of a bundle without its weights."""
    return write_bundle(
        folder,
        config=bundle.config,
        weights=None,
        history=bundle.history,
        metrics=bundle.metrics,
        profiles=bundle.profiles,
        golden=None,
        progress={},
        card=bundle.card,
    )


def refusal(function, *arguments, **keywords):
    with pytest.raises(AtelierError) as caught:
        function(*arguments, **keywords)
    assert str(caught.value).endswith(".")
    return caught.value.code


# ---------------------------------------------------------------- methods by name


CLASSES = {
    "simsiam": SimSiam,
    "dssl": DSSL,
    "byol": BYOL,
    "barlow_twins": BarlowTwins,
    "vicreg": VICReg,
}


@pytest.mark.parametrize("method", methods.METHODS)
def test_every_method_is_built_by_its_name_and_known_by_it(method):
    config = CLASSES[method].config_class(**SIZE)
    model = methods.build(method, config)
    assert type(model) is methods.method_class(method) is CLASSES[method]
    assert model.config == config
    assert methods.method_of(model) == method
    assert set(methods.METHODS) == set(CLASSES)


@pytest.mark.parametrize("method", methods.METHODS)
def test_an_architecture_is_read_back_from_plain_values(method):
    model = methods.build(method, CLASSES[method].config_class(**SIZE))
    plain = json.loads(json.dumps(methods.architecture(model)))
    assert plain["method"] == method
    kept = dict(plain)
    assert methods.config_from(plain) == (method, model.config)
    assert plain == kept  # read, not used up


@pytest.mark.parametrize("method", ["", "SimSiam", "moco", None])
def test_another_method_is_refused(method):
    known = "simsiam, dssl, byol, barlow_twins, vicreg"
    for ask in (
        methods.method_class,
        methods.build,
        lambda name: methods.config_from({"method": name}),
    ):
        with pytest.raises(ValueError, match=rf"^method must be one of {known}, got"):
            ask(method)


def test_settings_of_another_method_are_no_configuration():
    assert methods.config_from({"method": "byol", "momentum": 0.5}) == (
        "byol",
        BYOLConfig(momentum=0.5),
    )
    with pytest.raises(TypeError):
        methods.config_from({"method": "simsiam", "momentum": 0.5})
    with pytest.raises(ValueError, match=r"^method must be one of"):
        methods.config_from({"width": 8})


# ---------------------------------------------------------------- networks from bundles


@pytest.mark.parametrize("method", ["simsiam", "byol"])
def test_from_pretrained_gives_the_stored_network(run, method):
    folder = run(method)
    model = methods.from_pretrained(folder)
    assert not model.training
    assert methods.architecture(model) == {
        "method": method,
        **CLASSES[method].config_class(**SIZE).plain(),
    }
    stored = load_file(folder / "model.safetensors")
    assert stored.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), stored[name].astype(value.numpy().dtype))
        assert value.dtype in (torch.float32, torch.int64)


def test_bundles_without_a_usable_network_are_refused(copied, tmp_path, tiny_bundle, bundle):
    assert refusal(methods.from_pretrained, tiny_bundle) == "bundle-family"
    assert refusal(methods.from_pretrained, tmp_path / "nowhere") == "bundle-missing"
    kept = record(bundle, tmp_path / "record")
    assert refusal(methods.from_pretrained, kept.folder) == "bundle-record"
    assert refusal(SimSiamExplorer, kept) == "bundle-record"
    assert refusal(methods.untrained_network, kept) == "bundle-record"


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "moco"},
        {"method": ["a"]},
        {"width": 0},
        {"width": 2.5},
        {"stem": 3},
        {"depth": 5},
        {"dim": "a"},
    ],
)
def test_an_architecture_that_does_not_exist_is_refused(copied, wrong):
    altered = copied("config.json", lambda config: config["architecture"].update(wrong))
    for ask in (methods.from_bundle, methods.untrained_network, read_run, SimSiamExplorer):
        assert refusal(ask, altered) == "bundle-config"


def test_weights_of_another_architecture_are_refused(copied):
    altered = copied("config.json", lambda config: config["architecture"].update(dim=13))
    assert refusal(methods.from_bundle, altered) == "bundle-weights"


def first_network(seed, method="simsiam"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return methods.build(method, CLASSES[method].config_class(**SIZE))


@pytest.mark.parametrize("method", ["simsiam", "byol"])
def test_the_untrained_network_is_the_one_that_the_run_began_with(run, method):
    bundle = open_bundle(run(method))
    found, first = methods.untrained_network(bundle), first_network(SEED, method)
    trained = methods.from_bundle(bundle)
    assert not found.training
    for name, value in first.named_parameters():
        assert torch.equal(found.get_parameter(name), value)
    assert not torch.equal(found.projector[0].weight, trained.projector[0].weight)
    statistics = {name for name in found.state_dict() if "running" in name}
    assert statistics == {name[7:] for name in bundle.profiles if name.startswith("before.")}
    for name in statistics:
        np.testing.assert_array_equal(found.state_dict()[name], bundle.profiles[f"before.{name}"])
        assert not torch.equal(found.state_dict()[name], first.state_dict()[name])


def test_the_untrained_network_has_the_figures_of_epoch_0(run, bundle, make_digits):
    """Its kNN among the run's own pictures, as it was measured before the first step."""
    model = methods.untrained_network(bundle)
    (train, labels), (test, wanted) = make_digits(BANK, 0), make_digits(QUERIES, 1)
    with torch.no_grad():
        bank = F.normalize(model.features(images.to_tensor(train[:50]))).double()
        h = F.normalize(model.features(images.to_tensor(test[:20]))).double()
    similarity, index = (h @ bank.T).topk(5)
    scores = torch.zeros(20, 10).double()
    scores.scatter_add_(1, torch.from_numpy(labels)[index], (similarity / 0.1).exp())
    accuracy = (scores.argmax(dim=1).numpy() == wanted[:20]).mean()
    assert read_run(bundle).figures["test_knn_accuracy"][0] == pytest.approx(accuracy, abs=1e-9)


def test_the_untrained_network_leaves_the_global_generator_alone(bundle):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    methods.untrained_network(bundle)
    assert torch.equal(torch.random.get_rng_state(), before)


def with_arrays(folder, change):
    arrays = load_file(folder / "profiles.safetensors")
    change(arrays)
    save_file(arrays, folder / "profiles.safetensors")
    return open_bundle(folder)


@pytest.mark.parametrize(
    "change", [lambda a: a.reshape(-1)[None], lambda a: a[:0]], ids=["deeper", "empty"]
)
def test_statistics_of_another_network_are_refused(run, tmp_path, change):
    def spoil(arrays):
        name = next(name for name in arrays if name.endswith("running_mean"))
        arrays[name] = np.ascontiguousarray(change(arrays[name]))

    spoilt = with_arrays(shutil.copytree(run(), tmp_path / "copy"), spoil)
    assert refusal(methods.untrained_network, spoilt) == "bundle-damaged"


# ---------------------------------------------------------------- a run, epoch by epoch


def test_a_run_is_told_from_before_its_first_step(bundle):
    found = read_run(bundle)
    assert found.bundle is bundle
    assert found.epochs.tolist() == [0, 1, 2]
    assert set(found.figures) == {*FIGURES, "train_loss"}
    for name in FIGURES:
        expected = [bundle.metrics["before"][name], *(row[name] for row in bundle.history)]
        assert found.figures[name].tolist() == expected
        assert found.figures[name].dtype == np.float64
    losses = found.figures["train_loss"]
    assert math.isnan(losses[0])
    assert losses[1:].tolist() == [row["train_loss"] for row in bundle.history]
    assert (found.recipe, found.method, found.dim) == ("baseline", "simsiam", 12)


def test_spectra_fall_and_give_the_figures_of_their_epoch(bundle):
    found = read_run(bundle)
    for layer, channels in (("z", 12), ("h", 16)):
        values = found.spectra[layer]
        assert values.shape == (EPOCHS + 1, 256)
        assert (np.diff(values, axis=1) <= 0).all()
        assert (values[:, channels:] == 0).all()
        assert (values[:, 0] > 0).all()
        variance = (values**2).sum(axis=1) / (30 - 1)
        np.testing.assert_allclose(variance, found.figures[f"test_variance_{layer}"], rtol=0.02)
        share = values / values.sum(axis=1, keepdims=True)
        entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)
        np.testing.assert_allclose(np.exp(entropy), found.figures[f"test_rank_{layer}"], rtol=0.02)
        assert found.maps[layer].shape == (EPOCHS + 1, 30, 2)
    assert found.labels.tolist() == [number % 10 for number in range(30)]
    assert found.labels.dtype == np.int64


def test_a_run_of_which_weights_were_not_kept_is_told_as_well(bundle, tmp_path):
    whole, kept = read_run(bundle), read_run(record(bundle, tmp_path / "record"))
    for name, values in whole.figures.items():
        np.testing.assert_array_equal(kept.figures[name], values)
    for layer in ("z", "h"):
        np.testing.assert_array_equal(kept.spectra[layer], whole.spectra[layer])
        np.testing.assert_array_equal(kept.maps[layer], whole.maps[layer])
    np.testing.assert_array_equal(kept.labels, whole.labels)
    assert kept.comparable == whole.comparable


def test_a_run_without_recipe_is_called_by_its_bundle(copied):
    altered = copied("config.json", lambda config: config["training"].pop("recipe"))
    assert read_run(altered).recipe == "copy"


def test_a_run_is_compared_with_runs_of_its_data_size_and_length(copied, bundle):
    own = read_run(bundle).comparable
    assert own == ("cifar10", "train", BANK, 2, "strided", 16, EPOCHS)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", lambda config: config["data"].update(name="svhn")),
        ("config.json", lambda config: config["data"].update(split="other")),
        ("config.json", lambda config: config["data"].update(pictures=7)),
        ("config.json", lambda config: config["architecture"].update(width=4)),
        ("config.json", lambda config: config["architecture"].update(stem="small")),
        ("config.json", lambda config: config["architecture"].update(hidden=17)),
        ("history.json", lambda history: history.pop()),
    ],
)
def test_a_run_that_differs_in_these_is_not_comparable(copied, bundle, file, change):
    assert read_run(copied(file, change)).comparable != read_run(bundle).comparable


@pytest.mark.parametrize(
    "change",
    [
        {"dim": 24, "stop_gradient": False, "predictor": "identity", "predictor_hidden": 3},
        {"method": "dssl"},
    ],
)
def test_what_runs_are_made_to_compare_may_differ(copied, bundle, change):
    altered = copied("config.json", lambda config: config["architecture"].update(change))
    assert read_run(altered).comparable == read_run(bundle).comparable
    assert read_run(altered).method == change.get("method", "simsiam")
    assert read_run(altered).dim == change.get("dim", 12)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("metrics.json", lambda metrics: metrics.pop("before")),
        ("metrics.json", lambda metrics: metrics["before"].pop("test_std_z")),
        ("metrics.json", lambda metrics: metrics.update(before=None)),
        ("history.json", lambda history: history[1].pop("train_loss")),
        ("history.json", lambda history: history[0].pop("test_rank_h")),
        ("history.json", lambda history: history.append(None)),
    ],
)
def test_a_run_that_lacks_figures_is_refused(copied, file, change):
    assert refusal(read_run, copied(file, change)) == "bundle-run"


def test_a_spectrum_of_whole_numbers_is_read_as_well(run, tmp_path):
    def rounded(arrays):
        arrays["spectrum_z_log10"] = np.full(arrays["spectrum_z_log10"].shape, -2, np.int64)

    found = read_run(with_arrays(shutil.copytree(run(), tmp_path / "copy"), rounded))
    assert np.allclose(found.spectra["z"], 0.01)


@pytest.mark.parametrize("name", ["spectrum_z_log10", "map_h", "map_labels"])
def test_a_run_that_lacks_arrays_is_refused(run, tmp_path, name):
    folder = shutil.copytree(run(), tmp_path / "copy")
    arrays = load_file(folder / "profiles.safetensors")
    del arrays[name]
    save_file(arrays, folder / "profiles.safetensors")
    with pytest.raises(AtelierError) as caught:
        read_run(open_bundle(folder))
    assert caught.value.code == "bundle-run"
    assert name in str(caught.value)


# ---------------------------------------------------------------- views of a picture


def test_views_are_those_of_the_seed_with_all_their_stages(explorer, pictures):
    shown = explorer.views(pictures[0], STANDARD, seed=5, count=3)
    drawn = STANDARD.draw(3, 32, torch.Generator().manual_seed(5))
    x = images.to_tensor(pictures[:1]).expand(3, -1, -1, -1)
    expected = images.to_pictures(views.apply(x, drawn))
    assert len(shown) == 3
    for place, view in enumerate(shown):
        assert view.picture.dtype == np.uint8
        assert np.abs(view.picture.astype(int) - expected[place]).max() <= 1
        one = drawn.rows(slice(place, place + 1))
        assert [stage.name for stage in view.stages] == [
            name for name, _view in views.stages(x[:1], one)
        ]
        np.testing.assert_array_equal(view.stages[-1].picture, view.picture)
        assert view.drawn["box"] == drawn.box[place].tolist()
        assert view.drawn["flip"] is bool(drawn.flip[place])
        assert view.drawn["hue"] == pytest.approx(float(drawn.hue[place]))
        assert view.drawn.keys() == drawn._asdict().keys()
        json.dumps(view.drawn)  # plain values
    assert not np.array_equal(shown[0].picture, shown[1].picture)


def test_the_same_seed_gives_the_same_views(explorer, pictures):
    first, again, other = (explorer.views(pictures[0], STANDARD, seed) for seed in (1, 1, 2))
    assert len(first) == 2
    for one, two, three in zip(first, again, other, strict=True):
        assert one.drawn == two.drawn != three.drawn
        np.testing.assert_array_equal(one.picture, two.picture)
        assert not np.array_equal(one.picture, three.picture)


def test_views_without_augmentation_are_the_picture(explorer, pictures):
    for view in explorer.views(pictures[1], NEUTRAL, seed=0, count=2):
        np.testing.assert_array_equal(view.picture, pictures[1])
        assert view.stages == ()


# ---------------------------------------------------------------- how alike pictures are


def outputs(model, pictures):
    with torch.no_grad():
        h = model.features(images.to_tensor(pictures))
        return {"h": h.double().numpy(), "z": model.projector(h).double().numpy()}


def cosine(a, b):
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("trained", [True, False])
def test_similarity_is_the_cosine_of_what_the_network_makes_of_both(
    explorer, bundle, pictures, trained
):
    model = methods.from_bundle(bundle) if trained else methods.untrained_network(bundle)
    first, second = pictures[:5], pictures[5:10]
    found = explorer.similarity(first, second, trained=trained)
    one, two = outputs(model, first), outputs(model, second)
    assert set(found) == {"z", "h"}
    for layer, values in found.items():
        assert values.shape == (5,)
        np.testing.assert_allclose(values, cosine(one[layer], two[layer]), atol=1e-5)
    if trained:
        for layer, values in explorer.similarity(first, second).items():
            np.testing.assert_array_equal(values, found[layer])
        before = explorer.similarity(first, second, trained=False)
        assert np.abs(before["z"] - found["z"]).max() > 1e-4


def test_a_picture_is_like_itself(explorer, pictures):
    for trained in (True, False):
        for values in explorer.similarity(pictures, pictures, trained=trained).values():
            np.testing.assert_allclose(values, 1, atol=1e-5)


def test_many_pictures_are_answered_as_one_by_one(explorer, pictures):
    many = np.concatenate([pictures] * 25)  # more than one part of 256
    found = explorer.similarity(many, many[::-1])["z"]
    expected = explorer.similarity(pictures, pictures[::-1])["z"]
    np.testing.assert_allclose(found, np.tile(expected, 25), atol=1e-5)


def test_agreement_without_augmentation_is_one_with_itself(explorer, pictures):
    found = explorer.agreement(pictures[0], NEUTRAL, pictures[1:4], seed=0, count=5)
    np.testing.assert_allclose(found["same"], 1, atol=1e-5)
    repeated = np.repeat(pictures[:1], 5, axis=0)
    others = explorer.similarity(repeated, pictures[[1, 2, 3, 1, 2]])["z"]
    np.testing.assert_allclose(found["other"], others, atol=1e-5)


@pytest.mark.parametrize("trained", [True, False])
def test_agreement_compares_views_of_one_draw(explorer, bundle, pictures, trained):
    found = explorer.agreement(
        pictures[0], STANDARD, pictures[1:3], seed=4, count=6, trained=trained
    )
    model = methods.from_bundle(bundle) if trained else methods.untrained_network(bundle)
    source = pictures[[0] * 12 + [1, 2] * 3]
    made = STANDARD(images.to_tensor(source), torch.Generator().manual_seed(4))
    with torch.no_grad():
        z = model.project(made).double().numpy()
    np.testing.assert_allclose(found["same"], cosine(z[:6], z[6:12]), atol=1e-5)
    np.testing.assert_allclose(found["other"], cosine(z[:6], z[12:]), atol=1e-5)
    again = explorer.agreement(pictures[0], STANDARD, pictures[1:3], 4, 6, trained=trained)
    np.testing.assert_array_equal(again["same"], found["same"])
    assert len(set(found["same"].tolist())) == 6


# ---------------------------------------------------------------- neighbours


def test_the_bank_holds_the_first_training_pictures(explorer, make_digits):
    features, labels = explorer.bank
    pictures, expected = make_digits(BANK, 0)
    assert features.shape == (BANK, 16)
    assert features.dtype == np.float32
    assert labels.tolist() == expected.tolist()
    assert labels.dtype == np.int64
    h = outputs(methods.from_bundle(explorer.bundle), pictures)["h"]
    np.testing.assert_allclose(features, h, rtol=2e-3, atol=2e-3)  # stored in half precision


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (7, 0.1), (20, 0.5), (500, 0.02)])
def test_the_vote_is_that_of_the_most_similar_of_the_bank(explorer, pictures, k, temperature):
    found = explorer.vote(pictures[3], k, temperature)
    features, labels = explorer.bank
    h = outputs(methods.from_bundle(explorer.bundle), pictures[3:4])["h"]
    similarity = cosine(features.astype(np.float64), h)
    order = np.argsort(-similarity, kind="stable")[:k]
    weight = np.exp((similarity[order] - similarity.max()) / temperature)
    weight /= weight.sum()
    scores = np.bincount(labels[order], weight, minlength=10)
    assert len(found.index) == min(k, BANK)
    np.testing.assert_allclose(found.similarity, similarity[order], atol=1e-6)
    np.testing.assert_allclose(similarity[found.index], similarity[order], atol=1e-6)
    np.testing.assert_array_equal(found.labels, labels[found.index])
    np.testing.assert_allclose(found.weight, weight, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.scores, scores, atol=1e-4)
    assert found.weight.sum() == pytest.approx(1)
    assert found.predicted == int(found.scores.argmax())
    assert type(found.predicted) is int


def test_a_picture_of_the_bank_finds_itself(explorer, make_digits):
    pictures, labels = make_digits(BANK, 0)
    for place in (0, 17, BANK - 1):
        found = explorer.vote(pictures[place], 3, 0.1)
        assert found.index[0] == place
        assert found.labels[0] == labels[place]


def test_a_bundle_without_a_bank_says_so(run, tmp_path):
    folder = shutil.copytree(run(), tmp_path / "copy")
    arrays = load_file(folder / "profiles.safetensors")
    del arrays["bank_features"], arrays["bank_labels"]
    save_file(arrays, folder / "profiles.safetensors")
    explorer = SimSiamExplorer(open_bundle(folder))
    assert refusal(lambda: explorer.bank) == "bundle-bank"


def test_an_explorer_is_asked_without_gradients_and_changes_nothing(explorer, pictures):
    model = explorer._model(True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    explorer.vote(pictures[0], 3, 0.1)
    explorer.agreement(pictures[0], STANDARD, pictures, 0, 4)
    assert not any(p.requires_grad for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert explorer.class_names == tuple(explorer.bundle.config["data"]["class_names"])


# ---------------------------------------------------------------- golden output


def test_the_bundle_gives_its_golden_output(bundle):
    stored = load_file(bundle.folder / "golden.safetensors")
    x = torch.from_numpy(stored["input.x"])
    with without_onednn():  # as it was made: to 1e-5 the two kinds of convolution differ
        assert golden_deviation(bundle) <= 1e-5
        found = golden_outputs(methods.from_bundle(bundle), {"x": x})
    assert {f"output.{key}" for key in found} == {"output.h", "output.z"}
    for key, value in found.items():
        np.testing.assert_allclose(value, stored[f"output.{key}"], atol=1e-5)


def test_changed_weights_do_not_give_the_golden_output(run, tmp_path):
    folder = shutil.copytree(run(), tmp_path / "copy")
    arrays = load_file(folder / "model.safetensors")
    arrays["projector.6.weight"][0] *= np.float16(2)
    arrays["projector.7.running_mean"][0] += np.float16(0.5)
    save_file(arrays, folder / "model.safetensors")
    assert refusal(golden_deviation, open_bundle(folder)) == "bundle-golden"


# ---------------------------------------------------------------- strength


def test_strength_one_is_the_recipe():
    others = (replace(STANDARD, crop=0.08, ratio=2.0, hue=0.5), Views(crop=0.01))
    for recipe in (STANDARD, HARDER, *others):
        found = recipe.scaled(1.0)
        for name, value in vars(recipe).items():
            assert getattr(found, name) == pytest.approx(value), name


@pytest.mark.parametrize(
    "recipe", [STANDARD, replace(HARDER, flip=0.5)], ids=["standard", "harder"]
)
def test_strength_nought_is_the_picture_mirrored_or_not(recipe):
    x = images.to_tensor(np.arange(2 * 32 * 32 * 3, dtype=np.uint8).reshape(2, 32, 32, 3))
    found = recipe.scaled(0.0)(x.repeat(20, 1, 1, 1), torch.Generator().manual_seed(0))
    flipped = 0
    for view, picture in zip(found, x.repeat(20, 1, 1, 1), strict=True):
        mirrored = torch.equal(view, picture.flip(2))
        assert mirrored or torch.equal(view, picture)
        flipped += mirrored
    assert 8 < flipped < 32


def test_changes_grow_in_proportion_up_to_their_limits():
    half, twice, far = (STANDARD.scaled(strength) for strength in (0.5, 2.0, 20.0))
    assert half.crop == pytest.approx(0.6)
    assert half.ratio == pytest.approx(math.sqrt(4 / 3))
    assert (half.brightness, half.hue) == (pytest.approx(0.2), pytest.approx(0.05))
    assert (twice.brightness, twice.hue) == (pytest.approx(0.8), pytest.approx(0.2))
    assert twice.ratio == pytest.approx(16 / 9)
    assert (far.contrast, far.saturation, far.hue, far.ratio) == (1, 1, 0.5, 4)
    assert far.crop == pytest.approx(0.02)
    assert HARDER.scaled(0.5).rotation == pytest.approx(45)
    assert HARDER.scaled(5.0).rotation == 180
    assert (half.grey, twice.grey, far.grey) == pytest.approx((0.1, 0.4, 1))
    assert HARDER.scaled(0.5).jigsaw == pytest.approx(HARDER.jigsaw / 2)
    for recipe in (half, twice, far):
        assert (recipe.flip, recipe.jitter) == (STANDARD.flip, STANDARD.jitter)
        assert (recipe.solarize, recipe.jigsaw, recipe.cutout) == (0, 0, 0)


def test_a_strength_below_nought_is_refused():
    with pytest.raises(ValueError, match=r"^strength must be 0 or more, got -0.1"):
        STANDARD.scaled(-0.1)


# ---------------------------------------------------------------- features, the vote before training


def test_features_are_those_of_the_network(bundle, explorer, pictures):
    x = images.to_tensor(pictures)
    with torch.no_grad():
        trained = methods.from_bundle(bundle).features(x).numpy()
        untrained = methods.untrained_network(bundle).features(x).numpy()
    np.testing.assert_allclose(explorer.features(pictures), trained, atol=1e-5)
    np.testing.assert_allclose(explorer.features(pictures, trained=False), untrained, atol=1e-5)
    assert np.abs(trained - untrained).max() > 1e-3


def test_the_vote_before_training_is_that_of_the_untrained_network(explorer, pictures):
    """Every picture of the bank is another one of these, or its mirror image."""
    _features, labels = explorer.bank
    both = np.concatenate([pictures, pictures[:, :, ::-1]])
    shown = both[np.arange(len(labels)) % len(both)]
    bank = explorer.features(shown, trained=False)
    h = explorer.features(pictures[:1], trained=False)[0].astype(float)
    cosines = bank @ h / np.linalg.norm(bank, axis=1) / np.linalg.norm(h)
    order = np.argsort(-cosines.astype(np.float32), kind="stable")[:5]
    found = explorer.vote(pictures[0], 5, 0.1, untrained_bank=bank)
    np.testing.assert_allclose(found.similarity, cosines[order], atol=1e-5)
    assert set(labels[found.index]) == set(found.labels)
    weights = np.exp(found.similarity.astype(float) / 0.1)
    scores = np.bincount(found.labels, weights / weights.sum(), minlength=len(found.scores))
    np.testing.assert_allclose(found.scores, scores, atol=1e-5)
    assert found.similarity[0] == pytest.approx(1, abs=1e-6)  # the picture itself
