import copy
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18

from core.simsiam.joint_embedding import (
    STEMS,
    Backbone,
    EmbeddingConfig,
    Outputs,
    cosine_similarity,
    precise,
    predictor,
    projector,
    whole_batch,
)
from core.simsiam.simsiam import PRESETS, SimSiam, SimSiamConfig, loss

SMALL = SimSiamConfig(width=2, stem="strided", hidden=8, dim=6, predictor_hidden=4)
BATCH = 12


def rows(*values):
    return torch.tensor(values, dtype=torch.float64)


def drawn(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def make(stirred):
    """A small network in float64 that trains, always with the same weights."""
    return lambda **changes: stirred(SimSiam(replace(SMALL, **changes)).double())


@pytest.fixture
def pair():
    return drawn(1, BATCH, 3, 32, 32).clamp(-1, 1), drawn(2, BATCH, 3, 32, 32).clamp(-1, 1)


def gradients(value, model):
    """Gradient by parameter; None where there is none."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    found = torch.autograd.grad(value, [p for _name, p in named], allow_unused=True)
    return dict(zip([name for name, _p in named], found, strict=True))


def close(found, expected, factor=1.0):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, factor * expected[name], rtol=1e-10, atol=1e-12)


# ---------------------------------------------------------------- cosine similarity


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((1, 0), (1, 0), 1),
        ((3, 4), (6, 8), 1),
        ((1, 0), (0, 2), 0),
        ((1, 2), (-2, 1), 0),
        ((3, 4), (-3, -4), -1),
        ((1, 0), (1, 1), 1 / math.sqrt(2)),
        ((3, 4), (4, 3), 24 / 25),
        ((1, 0), (-1, math.sqrt(3)), -0.5),
        ((0, 0), (3, 4), 0),
        ((3, 4), (0, 0), 0),
        ((0, 0), (0, 0), 0),
    ],
)
def test_cosine_similarity_of_known_vectors(a, b, expected):
    found = cosine_similarity(rows(a), rows(b))
    assert found.shape == (1,)
    assert found.item() == pytest.approx(expected, abs=1e-15)


def test_cosine_similarity_is_one_a_row():
    found = cosine_similarity(rows((1, 0), (0, 1), (1, 0)), rows((2, 0), (5, 0), (-7, 0)))
    assert found.tolist() == [1, 0, -1]


@pytest.mark.parametrize("scale", [1e-6, 0.1, 3.0, 1e6])
def test_cosine_similarity_knows_no_scale(scale):
    a, b = drawn(3, 5, 7), drawn(4, 5, 7)
    expected = cosine_similarity(a, b)
    torch.testing.assert_close(cosine_similarity(scale * a, b), expected)
    torch.testing.assert_close(cosine_similarity(a, scale * b), expected)
    torch.testing.assert_close(cosine_similarity(-scale * a, b), -expected)
    torch.testing.assert_close(cosine_similarity(b, a), expected)


@pytest.mark.parametrize("shape", [(1, 1), (4, 2), (16, 2048)])
def test_cosine_similarity_is_that_of_torch(shape):
    a, b = drawn(5, *shape), drawn(6, *shape)
    torch.testing.assert_close(
        cosine_similarity(a, b), F.cosine_similarity(a, b), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_cosine_similarity_is_computed_in_single_precision_at_least(dtype):
    a, b = drawn(7, 6, 300).to(dtype), drawn(8, 6, 300).to(dtype)
    found = cosine_similarity(a, b)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = F.cosine_similarity(a.double(), b.double())
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("a", "b"), [((2, 3), (2, 4)), ((2, 3), (1, 3)), ((3,), (3,)), ((2, 3, 1), (2, 3, 1))]
)
def test_vectors_of_other_shapes_have_no_cosine_similarity(a, b):
    with pytest.raises(ValueError, match=r"^a and b must be \(B, d\) alike, got"):
        cosine_similarity(torch.zeros(a), torch.zeros(b))


# ---------------------------------------------------------------- the loss


RIGHT, UP = rows((1, 0), (2, 0)), rows((0, 3), (0, 1))


@pytest.mark.parametrize(
    ("p1", "p2", "z1", "z2", "expected"),
    [
        (RIGHT, RIGHT, 5 * RIGHT, 0.1 * RIGHT, -1),
        (RIGHT, UP, UP, RIGHT, -1),  # each prediction is compared with the other view
        (RIGHT, UP, RIGHT, UP, 0),
        (RIGHT, RIGHT, UP, UP, 0),
        (RIGHT, RIGHT, -RIGHT, -RIGHT, 1),
        (RIGHT, RIGHT, UP, RIGHT, -0.5),
        (RIGHT, RIGHT, RIGHT, UP, -0.5),
        (RIGHT, UP, UP, rows((1, 0), (-1, 0)), -0.5),  # 1 and -1 in one batch
        (RIGHT, RIGHT, 0 * RIGHT, 0 * RIGHT, 0),
    ],
)
def test_the_loss_of_known_directions(p1, p2, z1, z2, expected):
    found = loss(p1, p2, z1, z2)
    assert found.shape == ()
    assert found.item() == pytest.approx(expected, abs=1e-15)


def four(seed, *shape):
    return [drawn(seed + place, *shape) for place in range(4)]


def test_the_loss_is_the_same_when_the_views_change_places():
    p1, p2, z1, z2 = four(10, 9, 5)
    torch.testing.assert_close(loss(p1, p2, z1, z2), loss(p2, p1, z2, z1))
    assert abs(loss(p1, p2, z1, z2) - loss(p1, p2, z2, z1)) > 1e-3  # a view is not its own target


def test_the_loss_knows_no_scale():
    p1, p2, z1, z2 = four(20, 9, 5)
    scale = drawn(24, 9, 1).abs() + 0.1
    expected = loss(p1, p2, z1, z2)
    torch.testing.assert_close(loss(3 * p1, p2, z1, 0.01 * z2), expected)
    torch.testing.assert_close(loss(scale * p1, p2 / scale, scale * z1, z2), expected)


@pytest.mark.parametrize("shape", [(1, 3), (8, 2), (32, 64)])
def test_the_loss_is_that_of_torch_and_of_lightly(shape):
    lightly = pytest.importorskip("lightly.loss", reason="lightly is the second opinion here")
    p1, p2, z1, z2 = four(30, *shape)
    found = loss(p1, p2, z1, z2)
    by_torch = F.cosine_embedding_loss(p1, z2, torch.ones(shape[0])) / 2  # 1 - cos
    by_torch += F.cosine_embedding_loss(p2, z1, torch.ones(shape[0])) / 2
    torch.testing.assert_close(found, by_torch - 1, rtol=0, atol=1e-10)
    distance = lightly.NegativeCosineSimilarity()
    torch.testing.assert_close(
        found, 0.5 * (distance(p1, z2) + distance(p2, z1)), rtol=0, atol=1e-12
    )


def test_views_loss_is_the_loss_of_what_forward_gives(make, pair):
    model = make()
    value, outputs = model.views_loss(*pair)
    assert isinstance(outputs, Outputs)
    expected = model(*pair)
    for found, wanted in zip(outputs, expected, strict=True):
        assert torch.equal(found, wanted)
    assert torch.equal(value, loss(*expected))


# ---------------------------------------------------------------- where gradients stop


def test_with_stop_gradient_targets_carry_none(make, pair):
    outputs = make()(*pair)
    assert [part.requires_grad for part in outputs] == [True, True, False, False]
    assert outputs.z1.grad_fn is None
    outputs = make(stop_gradient=False)(*pair)
    assert [part.requires_grad for part in outputs] == [True] * 4


@pytest.mark.parametrize("kind", ["mlp", "identity", "fixed"])
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_forward_gives_predictions_and_projections_of_both_views(make, pair, stop_gradient, kind):
    model = make(stop_gradient=stop_gradient, predictor=kind)
    p1, p2, z1, z2 = model(*pair)
    first, second = (model.project(x) for x in pair)
    torch.testing.assert_close(z1, first)
    torch.testing.assert_close(z2, second)
    torch.testing.assert_close(p1, model.predictor(first))
    torch.testing.assert_close(p2, model.predictor(second))
    assert torch.equal(p1, z1) == (kind == "identity")
    assert (z1 - z2).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["mlp", "identity", "fixed"])
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_the_gradient_is_that_of_a_loss_whose_targets_come_from_elsewhere(
    make, pair, stop_gradient, kind
):
    """Targets of a copy of the network: what does not depend on the weights has no gradient."""
    model = make(stop_gradient=stop_gradient, predictor=kind)
    found = gradients(model.views_loss(*pair)[0], model)
    source = copy.deepcopy(model) if stop_gradient else model
    z1, z2 = (source.project(x) for x in pair)
    p1, p2 = (model.predictor(model.project(x)) for x in pair)
    expected = -(F.cosine_similarity(p1, z2).mean() + F.cosine_similarity(p2, z1).mean()) / 2
    close(found, gradients(expected, model))
    assert found["backbone.stem.0.weight"].abs().max() > 1e-6


def test_stop_gradient_changes_the_gradient_and_not_the_loss(make, pair):
    held, free = make(), make(stop_gradient=False)
    (one, _), (other, _) = held.views_loss(*pair), free.views_loss(*pair)
    assert torch.equal(one, other)
    first, second = gradients(one, held), gradients(other, free)
    for name in ("predictor.0.weight", "predictor.3.bias"):
        torch.testing.assert_close(first[name], second[name])  # no target passes through it
    assert (first["projector.6.weight"] - second["projector.6.weight"]).abs().max() > 1e-4


def test_without_predictor_stop_gradient_halves_the_gradient(make, pair):
    """cos(z1, z2) has two arguments, and half the loss sees each of them."""
    held = make(predictor="identity")
    free = make(predictor="identity", stop_gradient=False)
    (one, _), (other, _) = held.views_loss(*pair), free.views_loss(*pair)
    assert torch.equal(one, other)
    close(gradients(one, held), gradients(other, free), factor=0.5)


def test_a_fixed_predictor_stays_as_it_was_while_the_rest_learns(make, pair):
    model = make(predictor="fixed")
    before = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    for _step in range(2):
        optimizer.zero_grad()
        model.views_loss(*pair)[0].backward()
        optimizer.step()
    assert list(model.predictor.parameters())
    for name, value in model.named_parameters():
        moved = not torch.equal(value, before.get_parameter(name))
        assert moved != name.startswith("predictor."), name
        assert (value.grad is None) == name.startswith("predictor."), name


def test_a_fixed_predictor_begins_as_a_learning_one():
    made = []
    for kind in ("fixed", "mlp"):
        torch.manual_seed(5)
        made.append(SimSiam(replace(SMALL, predictor=kind)))
    fixed, learning = (model.state_dict() for model in made)
    assert fixed.keys() == learning.keys()
    assert all(torch.equal(fixed[name], learning[name]) for name in fixed)
    assert all(p.requires_grad for p in made[1].parameters())


def test_without_predictor_there_are_no_weights_for_one():
    model = SimSiam(replace(SMALL, predictor="identity"))
    assert not list(model.predictor.parameters())
    assert not [name for name in model.state_dict() if name.startswith("predictor")]


# ---------------------------------------------------------------- the parts


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize(("dim", "waist"), [(6, 4), (5, 16)])
def test_forward_gives_four_tensors_of_the_dimension(stem, dim, waist):
    model = SimSiam(SimSiamConfig(3, stem, hidden=7, dim=dim, predictor_hidden=waist))
    outputs = model(torch.zeros(4, 3, 32, 32), torch.ones(4, 3, 32, 32))
    assert [part.shape for part in outputs] == [(4, dim)] * 4
    h = model.features(torch.zeros(2, 3, 32, 32))
    assert h.shape == (2, 24)
    assert model.backbone.channels == 24


RESNET = {"stem.0": "conv1", "stem.1": "bn1"} | {
    f"stages.{2 * place + block}": f"layer{place + 1}.{block}"
    for place in range(4)
    for block in range(2)
}


def relative(stem):
    """torchvision's ResNet-18 without its classifier, its stem changed as the name says."""
    model = resnet18()
    model.fc = nn.Identity()
    if stem != "imagenet":
        model.conv1 = nn.Conv2d(3, 64, 3, 1 if stem == "small" else 2, padding=1, bias=False)
        model.maxpool = nn.Identity()
    return model


@pytest.mark.parametrize("stem", STEMS)
def test_the_backbone_of_width_64_is_the_resnet_18_of_torchvision(stem, stirred):
    theirs, ours = stirred(relative(stem).double()), Backbone(64, stem).double()
    count = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
    assert count[0] == count[1]
    theirs(drawn(40, 4, 3, 32, 32))  # moves the running statistics
    values = theirs.state_dict()
    renamed = {}
    for name in ours.state_dict():
        prefix = ".".join(name.split(".")[:2])
        renamed[name] = values[name.replace(prefix, RESNET[prefix], 1)]
    ours.load_state_dict(renamed)
    x = drawn(41, 2, 3, 32, 32).clamp(-1, 1)
    with torch.no_grad():
        found, expected = ours.eval()(x), theirs.eval()(x)
    assert found.shape == (2, 512)
    assert expected.std() > 1e-2
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)


def test_every_block_begins_as_its_own_skip():
    for block in Backbone(2, "small").eval().stages:
        x = torch.rand(2, block.conv1.in_channels, 8, 8)
        skip = block.downsample(x) if block.downsample is not None else x
        torch.testing.assert_close(block(x), skip.relu())


def test_convolutions_begin_with_the_variance_of_he():
    """Variance 2 / fan_out, over tens of thousands of weights."""
    torch.manual_seed(0)
    backbone = Backbone(16, "small")
    for place, fan_out in ((6, 128 * 9), (7, 128 * 9), (2, 32 * 9)):
        weight = backbone.stages[place].conv1.weight
        assert weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.03)
    skip = backbone.stages[6].downsample[0].weight
    assert skip.std().item() == pytest.approx(math.sqrt(2 / 128), rel=0.03)


def heads():
    return pytest.importorskip("lightly.models.modules.heads", reason="a second opinion")


def filled(ours, theirs, stirred):
    """``ours`` with the weights of ``theirs``, layer by layer."""
    theirs = stirred(theirs.double())
    values = list(theirs.state_dict().values())
    names = list(ours.state_dict())
    ours.double().load_state_dict(dict(zip(names, values, strict=True)))
    return ours, theirs


@pytest.mark.parametrize("training", [True, False])
def test_projector_and_predictor_are_those_of_lightly(stirred, training):
    pairs = (
        (projector(10, 12, 7), heads().SimSiamProjectionHead(10, 12, 7), 10),
        (predictor(7, 3), heads().SimSiamPredictionHead(7, 3, 7), 7),
    )
    for mine, other, channels in pairs:
        ours, theirs = filled(mine, other, stirred)
        x = drawn(50, 9, channels)
        torch.testing.assert_close(ours.train(training)(x), theirs.train(training)(x))


def test_the_last_norm_of_the_projector_standardises_and_learns_nothing(make, pair):
    model = make()
    z = model.project(pair[0])
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(6).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(
        z.var(dim=0, correction=0), torch.ones(6).double(), rtol=0, atol=1e-2
    )
    last = model.projector[-1]
    assert isinstance(last, nn.BatchNorm1d)
    assert not list(last.parameters())
    assert model.projector[-2].bias is None


def test_a_projector_without_last_norm_may_shift_its_outputs(stirred):
    head = stirred(projector(10, 12, 7, last_norm=False)).double()
    assert isinstance(head[-1], nn.Linear)
    assert head[-1].bias is not None
    assert head(drawn(51, 9, 10)).mean(dim=0).abs().max() > 1e-3


def test_pictures_of_another_size_are_refused(make):
    for shape in ((2, 3, 64, 64), (2, 1, 32, 32), (3, 32, 32), (2, 3, 32, 16)):
        for ask in (make().features, make().project):
            with pytest.raises(ValueError, match=r"^x must be \(B, 3, 32, 32\), got"):
                ask(torch.zeros(shape).double())


# ---------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("name", "most"), [("width", 512), ("hidden", 8192), ("dim", 8192), ("predictor_hidden", 8192)]
)
def test_sizes_have_limits(name, most):
    for wrong in (0, -3, most + 1, 2.5, True, math.nan):
        with pytest.raises(ValueError, match=rf"^{name} must be 1 to {most}, got {wrong}"):
            SimSiamConfig(**{name: wrong})
    for right in (1, most):
        assert getattr(SimSiamConfig(**{name: right}), name) == right


@pytest.mark.parametrize("value", ["large", "", "Small", None])
def test_other_stems_and_predictors_are_refused(value):
    with pytest.raises(ValueError, match=r"^stem must be one of small, strided, imagenet, got"):
        SimSiamConfig(stem=value)
    with pytest.raises(ValueError, match=r"^stem must be one of small, strided, imagenet, got"):
        Backbone(2, value)
    with pytest.raises(ValueError, match=r"^predictor must be 'mlp', 'identity' or 'fixed', got"):
        SimSiamConfig(predictor=value)


def test_the_default_is_the_network_of_the_paper():
    """ResNet-18 with z of 2048 and a waist of 512, stop-gradient and predictor (section 3)."""
    config = SimSiamConfig()
    assert asdict(config) == {
        "width": 64,
        "stem": "small",
        "hidden": 2048,
        "dim": 2048,
        "predictor_hidden": 512,
        "stop_gradient": True,
        "predictor": "mlp",
    }
    assert asdict(PRESETS["default"]) == asdict(config)
    assert asdict(PRESETS["homework"]) == asdict(config) | {"stem": "imagenet"}


def test_a_configuration_is_read_back_from_its_plain_values():
    for config in (*PRESETS.values(), SMALL, replace(SMALL, predictor="fixed")):
        assert SimSiamConfig(**config.plain()) == config
    assert EmbeddingConfig(**EmbeddingConfig(width=3).plain()) == EmbeddingConfig(width=3)


# ---------------------------------------------------------------- precision, processes


def test_double_precision_is_kept_and_half_is_raised():
    assert precise(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        assert precise(torch.zeros(1, dtype=dtype)).dtype == torch.float32


def test_one_process_has_the_whole_batch():
    z = drawn(60, 4, 3)
    assert whole_batch(z) is z


def test_a_world_of_one_process_has_the_whole_batch_with_gradients():
    z = drawn(61, 4, 3).requires_grad_()
    distributed = torch.distributed
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        gathered = whole_batch(z)
        (gradient,) = torch.autograd.grad((gathered**3).sum(), z)
    finally:
        distributed.destroy_process_group()
    assert torch.equal(gathered, z)
    np.testing.assert_allclose(gradient, 3 * z.detach() ** 2)
