import json

import pytest
import torch

from core.ddpm.model import DDPM, PRESETS, DDPMConfig, ScheduleConfig
from core.ddpm.samplers import sample, time_grid
from core.ddpm.schedule import MAX_T, NoiseSchedule, draw_noise
from core.ddpm.unet import DEFAULT, HOMEWORK, UNet, UNetConfig

WAYS = {
    "ddpm": {"sampler": "ddpm"},
    "ddim": {"sampler": "ddim", "steps": 3},
    "ddim-noisy": {"sampler": "ddim", "steps": 3, "eta": 1.0},
    "dpm": {"sampler": "dpm", "steps": 3},
}


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


@pytest.fixture(params=["eps", "v"])
def model(stirred, request):
    unet = UNetConfig(channels=(8, 8, 8), time_width=16)
    schedule = ScheduleConfig("linear", 6, 0.001, 0.3)
    built = DDPM.build(DDPMConfig(unet, schedule, request.param))
    stirred(built.unet).requires_grad_(False)
    return built


def guess_of(model):
    """The noise that the network means, by the definition of what it says."""

    def eps_model(x_t, t):
        output = model.unet(x_t, t)
        if model.config.prediction == "eps":
            return output
        alpha_bar = model.schedule.alphas_cumprod[t].to(x_t).view(-1, 1, 1, 1)
        x0 = alpha_bar.sqrt() * x_t - (1 - alpha_bar).sqrt() * output
        return (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()

    return eps_model


def last(steps):
    *_, step = steps
    return step.x_t


# ---------------------------------------------------------------- sampling


def test_sampling_goes_from_pure_noise_to_pictures_in_the_steps_asked_for(model, way, seeded):
    steps = list(model.sample(2, **way, generator=seeded(3)))
    assert torch.equal(steps[0].x_t, draw_noise(torch.zeros(2, 3, 32, 32), seeded(3)))
    levels = [step.t.tolist() for step in steps]
    expected = [5, 3, 1, -1] if "steps" in way else [5, 4, 3, 2, 1, 0, -1]
    assert levels == [[level] * 2 for level in expected]
    assert last(steps).shape == (2, 3, 32, 32)
    assert last(steps).dtype == torch.float32
    assert last(steps).isfinite().all()


def test_sampling_is_the_sampler_by_its_name_with_network_and_schedule(model, way, seeded):
    times = time_grid(6, way.get("steps", 6))
    options = {key: value for key, value in way.items() if key != "steps"}
    for clip_x0 in (False, True):
        generator = seeded(3)
        x_T = draw_noise(torch.zeros(2, 3, 32, 32), generator)
        expected = sample(
            *(guess_of(model), model.schedule, x_T, times),
            **options,
            clip_x0=clip_x0,
            generator=generator,
        )
        found = model.sample(2, **way, clip_x0=clip_x0, generator=seeded(3))
        torch.testing.assert_close(last(found), last(expected), rtol=0, atol=1e-3)


def test_the_noise_is_what_the_network_says_or_follows_from_its_v(model, seeded):
    x_t, t = draw_noise(torch.zeros(4, 3, 32, 32), seeded(2)), torch.tensor([0, 2, 4, 5])
    found = model.eps(x_t, t)
    torch.testing.assert_close(found, guess_of(model)(x_t, t), rtol=0, atol=1e-4)
    output = model.unet(x_t, t)
    assert torch.equal(found, output) == (model.config.prediction == "eps")


def test_a_model_moved_is_the_same_model(model, seeded):
    expected = last(model.sample(1, sampler="ddim", steps=2, generator=seeded(1)))
    moved = model.to(torch.device("cpu"))
    assert moved.config == model.config
    found = last(moved.sample(1, sampler="ddim", steps=2, generator=seeded(1)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_same_seed_makes_the_same_pictures(model, way, seeded):
    first, again, other = (last(model.sample(2, **way, generator=seeded(s))) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.1


def test_with_a_generator_a_picture_each_is_what_it_would_be_alone(model, way, seeded):
    together = last(model.sample(3, **way, generator=[seeded(seed) for seed in (4, 5, 6)]))
    for row, seed in enumerate((4, 5, 6)):
        for generator in (seeded(seed), [seeded(seed)]):
            alone = last(model.sample(1, **way, generator=generator))
            torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-4)


def test_without_sampler_and_steps_it_is_ancestral_through_every_level(model, seeded):
    plain = last(model.sample(1, generator=seeded(1)))
    assert torch.equal(plain, last(model.sample(1, sampler="ddpm", generator=seeded(1))))


def test_sampling_leaves_the_global_generator_alone(model, way, seeded):
    before = torch.random.get_rng_state()
    list(model.sample(1, **way, generator=seeded()))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_sampling_keeps_no_gradients(model, seeded):
    model.unet.requires_grad_(True)
    for step in model.sample(1, sampler="ddim", steps=2, generator=seeded()):
        assert not step.x_t.requires_grad
        assert not step.x0_hat.requires_grad


def test_sampling_has_the_type_of_the_network(model, seeded):
    model.unet.double()
    assert last(model.sample(1, sampler="ddim", steps=2, generator=seeded())).dtype == torch.float64


@pytest.mark.parametrize(
    ("named", "batch_size", "options"),
    [
        ("batch_size", 0, {}),
        ("steps", 1, {"sampler": "ddim", "steps": 7}),
        ("steps", 1, {"sampler": "ddim", "steps": 0}),
        ("steps", 1, {"sampler": "ddim", "steps": -1}),
        ("eta", 1, {"sampler": "ddim", "steps": 2, "eta": 2.0}),
        ("sampler", 1, {"sampler": "euler"}),
        ("generator", 2, {"generator": [torch.Generator()]}),
    ],
)
def test_a_request_that_makes_no_pictures_is_refused_at_once(model, named, batch_size, options):
    with pytest.raises(ValueError, match=rf"^{named} must"):
        model.sample(batch_size, **options)


def test_ancestral_sampling_in_fewer_steps_is_refused(model, seeded):
    with pytest.raises(ValueError, match=r"^times of p_sample_loop must fall by 1"):
        list(model.sample(1, sampler="ddpm", steps=3, generator=seeded()))


# ---------------------------------------------------------------- configuration


def test_a_model_is_built_as_configured():
    config = DDPMConfig(UNetConfig(channels=(8, 16, 8), time_width=24), ScheduleConfig("cosine", 9))
    model = DDPM.build(config)
    assert model.config == config
    assert isinstance(model.unet, UNet)
    assert model.unet.config == config.unet
    assert not model.unet.training
    assert torch.equal(model.schedule.betas, NoiseSchedule.cosine(9).betas)


def test_a_schedule_is_built_as_configured():
    linear = ScheduleConfig("linear", 500, 0.001, 0.03).build()
    assert torch.equal(linear.betas, NoiseSchedule.linear(500, 0.001, 0.03).betas)
    assert linear.name == "linear"
    cosine = ScheduleConfig("cosine", 40).build()
    assert torch.equal(cosine.betas, NoiseSchedule.cosine(40).betas)
    assert cosine.name == "cosine"
    assert torch.equal(ScheduleConfig().build().betas, NoiseSchedule.linear(1000).betas)


@pytest.mark.parametrize(
    "config",
    [
        DDPMConfig(),
        PRESETS["homework"],
        DDPMConfig(
            UNetConfig(channels=(8, 16, 8), time_width=24, attention=(True, False, False)),
            ScheduleConfig("cosine", 300, 0.001, 0.05),
            "eps",
        ),
    ],
)
def test_a_configuration_is_read_again_from_json(config):
    assert DDPMConfig.read(json.loads(json.dumps(config.plain()))) == config


def test_presets_are_the_networks_on_the_usual_schedule():
    assert {name: config.unet for name, config in PRESETS.items()} == {
        "default": DEFAULT,
        "homework": HOMEWORK,
    }
    assert {config.schedule for config in PRESETS.values()} == {ScheduleConfig()}
    assert PRESETS["homework"].prediction == "eps"  # as the assignment has it


@pytest.mark.parametrize(
    ("named", "options"),
    [
        ("kind", {"kind": "quadratic"}),
        ("T", {"T": 0}),
        ("T", {"T": MAX_T + 1}),
        ("T", {"T": 10.5}),
        ("T", {"T": "1000"}),
    ],
)
def test_a_configuration_without_a_schedule_is_refused(named, options):
    with pytest.raises(ValueError, match=rf"^{named} must be"):
        ScheduleConfig(**options)


def test_a_network_that_says_something_else_is_refused():
    with pytest.raises(ValueError, match=r"^prediction must be one of .*'x0'"):
        DDPMConfig(prediction="x0")


@pytest.mark.parametrize("ends", [(0.0, 0.02), (-0.1, 0.02), (0.1, 1.0)])
def test_betas_that_are_no_variances_are_refused(ends):
    with pytest.raises(ValueError, match=r"^beta.* must"):
        ScheduleConfig("linear", 10, *ends).build()


def test_plain_values_with_anything_missing_or_unknown_are_refused():
    whole = DDPMConfig().plain()
    damaged = [
        {"unet": whole["unet"]},
        {"schedule": whole["schedule"]},
        {**whole, "prediction": "x0"},
        {name: part for name, part in whole.items() if name != "prediction"},
        {**whole, "unet": None},
        {**whole, "unet": {**whole["unet"], "depth": 3}},
        {**whole, "schedule": {**whole["schedule"], "T": None}},
        {**whole, "schedule": {**whole["schedule"], "kind": ["linear"]}},
    ]
    for plain in damaged:
        with pytest.raises((KeyError, TypeError, ValueError)):
            DDPMConfig.read(plain)
