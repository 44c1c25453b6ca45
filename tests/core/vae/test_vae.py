import math

import pytest
import torch
from torch import nn

from core.vae.bounds import NLL_CONSTANT, bits_per_dimension
from core.vae.model import VAE
from core.vae.networks import DEFAULT, HOMEWORK, PRESETS, ResidualBlock, VAEConfig

SMALL = {
    "residual": VAEConfig(channels=(8, 8, 16), latent_dim=4, blocks=2),
    "homework": VAEConfig(architecture="homework", channels=(4, 4, 8, 8), latent_dim=5),
}


@pytest.fixture(params=sorted(SMALL))
def model(request):
    torch.manual_seed(0)
    return VAE(SMALL[request.param]).eval()


@pytest.fixture
def x(seeded):
    return torch.rand(3, 3, 32, 32, generator=seeded(5)) * 2 - 1


def test_encode_and_decode_have_the_promised_shapes(model, x):
    posterior = model.encode(x)
    d = model.config.latent_dim
    assert posterior.mean.shape == posterior.logvar.shape == (3, d)
    likelihood = model.decode(posterior.mean)
    assert likelihood.mean.shape == (3, 3, 32, 32)
    assert (likelihood.logvar == 0).all()


def test_forward_is_made_of_its_pieces(model, x, seeded):
    reconstruction, nll, kl = model(x, generator=seeded(7))
    posterior = model.encode(x)
    decoded = model.decode(posterior.sample(seeded(7)))
    assert torch.equal(reconstruction, decoded.mean)
    torch.testing.assert_close(nll, decoded.nll(x))
    torch.testing.assert_close(kl, posterior.kl())
    assert nll.shape == kl.shape == (3,)


def test_forward_nll_is_half_the_squared_error_and_the_constant(model, x, seeded):
    reconstruction, nll, _ = model(x, generator=seeded())
    error = (reconstruction - x).double().square().sum((1, 2, 3)) / 2
    torch.testing.assert_close(nll.double(), error + NLL_CONSTANT, rtol=1e-6, atol=0)


def test_gradients_of_the_bound_reach_every_parameter(seeded, x):
    for config in SMALL.values():
        model = VAE(config)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.1, generator=seeded())
        _, nll, kl = model(x, generator=seeded())
        (nll + kl).mean().backward()
        still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
        assert still == []


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_sample_decodes_prior_draws_of_the_same_seed(model, seeded, temperature):
    z = temperature * torch.randn(4, model.config.latent_dim, generator=seeded(11))
    found = model.sample(4, temperature=temperature, generator=seeded(11))
    torch.testing.assert_close(found, model.decode(z).mean)


def test_a_generator_leaves_the_global_one_alone(model, x, seeded):
    before = torch.random.get_rng_state()
    model(x, generator=seeded())
    model.sample(2, generator=seeded())
    model.log_likelihood(x, 3, generator=seeded())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_picture_is_encoded_alike_alone_and_in_a_batch(model, x):
    model = model.double()
    together = model.encode(x.double()).mean
    alone = torch.cat([model.encode(row[None].double()).mean for row in x])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (1, 3, 28, 28), (1, 32, 32, 3)])
def test_encode_refuses_what_is_no_batch_of_pictures(model, shape):
    with pytest.raises(ValueError, match="x must be"):
        model.encode(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(4,), (2, 3), (1, 1, 4)])
def test_decode_refuses_what_is_no_batch_of_latents(model, shape):
    with pytest.raises(ValueError, match="z must be"):
        model.decode(torch.zeros(shape))


def test_sample_names_the_argument_it_refuses(model):
    with pytest.raises(ValueError, match="batch_size"):
        model.sample(0)
    for wrong in (-0.1, math.nan):
        with pytest.raises(ValueError, match="temperature"):
            model.sample(1, temperature=wrong)


@pytest.mark.parametrize("latent_dim", [32, 100])
def test_homework_encoder_is_four_strided_convolutions_with_batch_norm(latent_dim):
    model = VAE(VAEConfig("homework", latent_dim, HOMEWORK.channels))
    kinds = [type(layer) for layer in model.encoder]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 4 + [nn.Flatten]
    convolutions = [layer for layer in model.encoder if isinstance(layer, nn.Conv2d)]
    widths = [(layer.in_channels, layer.out_channels) for layer in convolutions]
    assert widths == [(3, 32), (32, 64), (64, 128), (128, 256)]
    for layer in convolutions:
        assert (layer.kernel_size, layer.stride, layer.padding) == ((4, 4), (2, 2), (1, 1))
    for head in (model.mean, model.logvar):
        assert (head.in_features, head.out_features) == (1024, latent_dim)
    assert model.decode(torch.zeros(2, latent_dim)).mean.shape == (2, 3, 32, 32)


def test_presets_have_32_latent_units():
    assert PRESETS == {"default": DEFAULT, "homework": HOMEWORK}
    assert {config.latent_dim for config in PRESETS.values()} == {32}


def test_a_residual_block_starts_as_the_identity(seeded):
    features = torch.randn(2, 8, 4, 4, generator=seeded())
    assert torch.equal(ResidualBlock(8)(features), features)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"architecture": "transformer"}, "architecture"),
        ({"channels": (8, 8)}, "channels"),
        ({"channels": (8, 8, 12)}, "channels"),
        ({"channels": (8, 8, 0)}, "channels"),
        ({"architecture": "homework", "channels": (8, 8, 8)}, "channels"),
        ({"architecture": "homework", "channels": (8, 8, 8, -1)}, "channels"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"latent_dim": 1025}, "latent_dim"),
        ({"latent_dim": 2.5}, "latent_dim"),
        ({"channels": (8, 8.0, 8)}, "channels"),
        ({"channels": (8, 8, 1032)}, "channels"),
        ({"blocks": 0}, "blocks"),
        ({"blocks": 9}, "blocks"),
        ({"blocks": 1.5}, "blocks"),
    ],
)
def test_a_configuration_names_the_argument_it_refuses(changes, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        VAEConfig(**changes)


def test_a_configuration_comes_back_from_plain_values(model):
    assert VAEConfig(**model.architecture()) == model.config
    assert isinstance(model.architecture()["channels"], list)


def test_the_constant_of_every_nll_is_2823_nats():
    assert pytest.approx(1536 * math.log(2 * math.pi), abs=1e-9) == NLL_CONSTANT
    assert round(NLL_CONSTANT, 1) == 2823.0


def test_bits_per_dimension_start_at_half_log2_of_2_pi_and_the_unit():
    floor = 0.5 * math.log2(2 * math.pi) + math.log2(127.5)
    assert bits_per_dimension(NLL_CONSTANT) == pytest.approx(floor, abs=1e-9)
    assert floor == pytest.approx(8.32, abs=5e-3)


def test_one_bit_more_on_every_dimension_is_3072_ln_2_nats():
    more = bits_per_dimension(NLL_CONSTANT + 3072 * math.log(2)) - bits_per_dimension(NLL_CONSTANT)
    assert more == pytest.approx(1.0, abs=1e-12)
