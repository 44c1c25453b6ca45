import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.ddpm.unet import (
    DEFAULT,
    HOMEWORK,
    Attention,
    Block,
    HomeworkAttention,
    LinearAttention,
    UNet,
    UNetConfig,
)

TINY = {
    "unshuffle": UNetConfig(channels=(8, 8, 8), time_width=16),
    "homework": UNetConfig("homework", channels=(8, 8, 8, 8), time_width=32, attention=(True,) * 4),
}
WIDER = {
    "unshuffle": UNetConfig(channels=(16, 16, 24), time_width=16),
    "homework": UNetConfig(
        "homework", channels=(16, 16, 24, 24), time_width=64, attention=(True,) * 4
    ),
}


@pytest.fixture(params=TINY)
def architecture(request):
    return request.param


@pytest.fixture
def pictures(seeded):
    return torch.randn(4, 3, 32, 32, generator=seeded(1))


T_ROWS = torch.tensor([0, 10, 500, 999])


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


# ---------------------------------------------------------------- size and shape


def test_the_networks_have_their_known_sizes():
    assert round(count(UNet(HOMEWORK)) / 1e6, 2) == 8.07
    assert count(UNet(DEFAULT)) <= 4e6
    assert UNet().config == DEFAULT


def test_the_guess_has_the_shape_of_the_pictures(architecture, stirred, pictures):
    unet = stirred(UNet(TINY[architecture]))
    for rows in (1, 4):
        guess = unet(pictures[:rows], T_ROWS[:rows])
        assert guess.shape == (rows, 3, 32, 32)
        assert guess.isfinite().all()
    doubled = unet.double()(pictures.double(), T_ROWS)
    assert doubled.dtype == torch.float64


def test_the_default_network_starts_at_zero(pictures):
    for config in (DEFAULT, TINY["unshuffle"]):
        assert torch.equal(UNet(config)(pictures, T_ROWS), torch.zeros(4, 3, 32, 32))


def test_blocks_and_attention_of_the_default_network_start_as_their_skip(pictures, seeded):
    x, time = torch.randn(2, 16, 4, 4, generator=seeded()), torch.randn(2, 8, generator=seeded())
    assert torch.equal(Block(16, 16, 8)(x, time), x)
    narrowing = Block(16, 8, 8)
    assert torch.equal(narrowing(x, time), narrowing.skip(x))
    assert torch.equal(Attention(16)(x), x)


# ---------------------------------------------------------------- taps


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("unshuffle", "stem|down 16|down 8|down 4|middle|up 4|up 8|up 16"),
        ("homework", "stem|down 32|down 16|down 8|down 4|middle|up 4|up 8|up 16"),
    ],
)
def test_a_tap_is_shown_every_layer_once_at_the_side_in_its_name(kind, names, stirred, pictures):
    unet = stirred(UNet(TINY[kind]))
    shown = []
    unet(pictures, T_ROWS, lambda name, features: shown.append((name, features)))
    assert tuple(name for name, _ in shown) == unet.layers()
    assert len(set(unet.layers())) == len(unet.layers())
    finest = 32 if kind == "homework" else 16
    for name, features in shown:
        side = {"stem": finest, "middle": 4}.get(name) or int(name.split()[1])
        assert features.shape[0] == 4
        assert features.shape[2:] == (side, side)
        assert features.std() > 0
    assert list(unet.layers()) == names.split("|")


def test_a_tap_does_not_change_the_guess(architecture, stirred, pictures):
    unet = stirred(UNet(TINY[architecture]))
    shown = {}
    guess = unet(pictures, T_ROWS, lambda name, features: shown.update({name: features.clone()}))
    assert torch.equal(guess, unet(pictures, T_ROWS))
    again = {}
    unet(pictures, T_ROWS, lambda name, features: again.update({name: features}))
    assert all(torch.equal(shown[name], again[name]) for name in unet.layers())


# ---------------------------------------------------------------- what the guess depends on


def test_the_guess_depends_on_the_picture_and_on_the_level(architecture, stirred, pictures):
    unet = stirred(UNet(TINY[architecture]))
    guess = unet(pictures, T_ROWS)
    assert (unet(pictures, T_ROWS.flip(0)) - guess).abs().amax((1, 2, 3)).min() > 1e-4
    assert (unet(pictures.flip(0), T_ROWS) - guess).abs().amax((1, 2, 3)).min() > 1e-2
    neighbours = unet(pictures[:1].expand(2, -1, -1, -1), torch.tensor([500, 501]))
    assert (neighbours[0] - neighbours[1]).abs().max() > 1e-6


def test_every_output_pixel_depends_on_every_region_of_the_picture(architecture, stirred):
    unet = stirred(UNet(WIDER[architecture]))
    x = torch.zeros(1, 3, 32, 32, requires_grad=True)
    unet(x, torch.tensor([100]))[0, :, 0, 0].sum().backward()
    assert (F.avg_pool2d(x.grad.abs(), 8) > 0).all()


@pytest.mark.parametrize(("kind", "finest"), [("unshuffle", 0), ("homework", 1)])
def test_a_skip_carries_a_resolution_past_the_smaller_ones(kind, finest, stirred, pictures):
    unet = stirred(UNet(TINY[kind]))
    for level in unet.down[finest:-1]:
        nn.init.zeros_(level.resize.weight)  # nothing of the picture goes further down
    first, second = {}, {}
    unet(pictures, T_ROWS, lambda name, features: first.update({name: features}))
    unet(pictures + 1, T_ROWS, lambda name, features: second.update({name: features}))
    apart = {name: (first[name] - second[name]).abs().max().item() for name in unet.layers()}
    names = unet.layers()
    assert all(apart[name] == 0 for name in names[finest + 2 : names.index("middle") + 1])
    assert apart[names[finest + 1]] > 0.01
    assert apart[names[-1]] > 0.01


def test_a_guess_does_not_depend_on_the_other_pictures(architecture, stirred, pictures):
    unet = stirred(UNet(TINY[architecture]))
    together = unet(pictures, T_ROWS)
    for row in range(4):
        one = slice(row, row + 1)
        alone = unet(pictures[one], T_ROWS[one])
        torch.testing.assert_close(together[one], alone, rtol=0, atol=1e-5)


def test_a_gradient_reaches_every_parameter(architecture, stirred, pictures):
    unet = stirred(UNet(WIDER[architecture]))
    (unet(pictures, T_ROWS) - pictures.flip(0)).square().mean().backward()
    weak = [
        name
        for name, parameter in unet.named_parameters()
        if parameter.grad is None or not parameter.grad.norm() > 1e-7
    ]
    assert weak == []


def test_a_network_learns_from_where_it_starts(pictures):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet(TINY["unshuffle"])
    optimizer = torch.optim.Adam(unet.parameters(), lr=1e-2)
    losses = []
    for _ in range(6):
        loss = (unet(pictures, T_ROWS) - pictures).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(pictures.square().mean().item())
    assert losses[-1] < 0.98 * losses[0]


@pytest.mark.parametrize("kind", ["unshuffle", "homework"])
def test_attention_stands_where_the_configuration_says(kind):
    def has(level, kinds):
        return any(isinstance(module, kinds) for module in level.modules())

    if kind == "homework":
        unet = UNet(TINY[kind])
        assert all(has(level, LinearAttention) for level in (*unet.down, *unet.up))
        assert has(unet.middle, HomeworkAttention)
        return
    for wanted in ((True, False, True), (False, False, False)):
        unet = UNet(UNetConfig(channels=(8, 8, 8), time_width=16, attention=wanted))
        assert tuple(has(level, Attention) for level in unet.down) == wanted
        assert tuple(has(level, Attention) for level in unet.up) == wanted[::-1]
        assert has(unet.middle, Attention)


def test_blocks_are_told_t_in_a_vector_of_time_width(architecture):
    attention = (True,) * len(TINY[architecture].channels)
    channels = TINY[architecture].channels
    for width in (16, 48):
        unet = UNet(UNetConfig(architecture, channels, time_width=width, attention=attention))
        assert unet.time(T_ROWS).shape == (4, width)


# ---------------------------------------------------------------- configuration and refusals


def test_a_configuration_is_read_again_from_its_plain_values(architecture):
    config = WIDER[architecture]
    plain = config.plain()
    assert isinstance(plain["channels"], list)
    assert UNetConfig(**plain) == config


@pytest.mark.parametrize(
    ("named", "options"),
    [
        ("architecture", {"architecture": "transformer"}),
        ("channels", {"channels": (8, 8)}),
        ("channels", {"channels": (8, 8, 8, 8)}),
        ("channels", {"architecture": "homework"}),
        ("channels", {"channels": (8, 12, 8)}),
        ("channels", {"channels": (0, 8, 8)}),
        ("channels", {"channels": (8, 8, 2056)}),
        ("channels", {"channels": (8, 8.0, 8)}),
        ("time_width", {"time_width": 0}),
        ("time_width", {"time_width": 16.0}),
        ("time_width", {"time_width": 12}),
        ("time_width", {"time_width": 4104}),
        ("attention", {"attention": (True, False)}),
        ("attention", {"attention": (True,) * 4}),
        ("attention", {"attention": (2, 1, 0)}),
        ("attention", {"attention": (0, "x", None)}),
        ("attention", {"attention": (True, False, "no")}),
        ("attention", {"attention": (True, True, None)}),
    ],
)
def test_a_configuration_without_a_network_is_refused(named, options):
    with pytest.raises(ValueError, match=f"^{named} .*must be"):
        UNetConfig(**options)


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 1, 32, 32), (2, 3, 64, 64), (2, 3, 32, 16)])
def test_pictures_of_another_shape_are_refused(architecture, shape):
    with pytest.raises(ValueError, match=r"^x must be \(B, 3, 32, 32\), got"):
        UNet(TINY[architecture])(torch.zeros(shape), torch.zeros(2).long())


@pytest.mark.parametrize("t", [torch.tensor(3), torch.tensor([1, 2, 3]), torch.zeros(2, 1).long()])
def test_another_count_of_levels_is_refused(architecture, t):
    with pytest.raises(ValueError, match=r"^t must be \(2,\), got"):
        UNet(TINY[architecture])(torch.zeros(2, 3, 32, 32), t)
