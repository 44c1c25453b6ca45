"""A diffusion model from its bundle."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from core.ddpm.model import DDPM
from core.errors import AtelierError
from core.families import open_bundle
from core.vae.model import VAE


@pytest.fixture
def copy(tiny_ddpm_bundle, tmp_path):
    return shutil.copytree(tiny_ddpm_bundle, tmp_path / "copy")


def refusal(function, *arguments, **keywords):
    with pytest.raises(AtelierError) as caught:
        function(*arguments, **keywords)
    assert str(caught.value).endswith(".")
    return caught.value.code


def edit(folder, change):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config["architecture"])
    path.write_text(json.dumps(config))


# ---------------------------------------------------------------- what is loaded


def test_a_model_from_its_bundle_gives_the_golden_noise(tiny_ddpm_bundle):
    golden = load_file(tiny_ddpm_bundle / "golden.safetensors")
    x, t = (torch.from_numpy(golden[f"input.{name}"]) for name in ("x", "t"))
    expected = torch.from_numpy(golden["output.eps_hat"])
    assert expected.std() > 0.1
    with torch.no_grad():
        for model in (
            DDPM.from_pretrained(tiny_ddpm_bundle),
            DDPM.from_pretrained(str(tiny_ddpm_bundle)),
            DDPM.from_bundle(open_bundle(tiny_ddpm_bundle)),
        ):
            torch.testing.assert_close(model.eps(x, t), expected, rtol=0, atol=1e-4)


def test_a_model_from_its_bundle_is_as_configured_and_ready(tiny_ddpm_bundle, tiny_ddpm):
    model = DDPM.from_pretrained(tiny_ddpm_bundle)
    assert model.config == tiny_ddpm
    assert torch.equal(model.schedule.betas, tiny_ddpm.schedule.build().betas)
    assert not any(module.training for module in model.unet.modules())
    assert {value.dtype for value in model.unet.parameters()} == {torch.float32}
    assert {value.device.type for value in model.unet.parameters()} == {"cpu"}


def test_the_weights_are_those_of_the_file(tiny_ddpm_bundle):
    stored = load_file(tiny_ddpm_bundle / "model.safetensors")
    state = DDPM.from_pretrained(tiny_ddpm_bundle).unet.state_dict()
    assert set(state) == set(stored)
    for key, value in stored.items():
        assert np.array_equal(state[key].numpy(), value.astype(np.float32))


def test_a_model_from_its_bundle_makes_pictures(tiny_ddpm_bundle, seeded):
    model = DDPM.from_pretrained(tiny_ddpm_bundle)
    *_, step = model.sample(2, sampler="dpm", steps=3, generator=seeded())
    assert step.x_t.shape == (2, 3, 32, 32)
    assert step.x_t.isfinite().all()


# ---------------------------------------------------------------- what is refused


def test_another_family_is_refused(tiny_bundle, tiny_ddpm_bundle):
    assert refusal(DDPM.from_pretrained, tiny_bundle) == "bundle-family"
    assert refusal(VAE.from_pretrained, tiny_ddpm_bundle) == "bundle-family"
    assert refusal(DDPM.from_bundle, open_bundle(tiny_bundle)) == "bundle-config"


def test_a_place_without_a_bundle_is_refused(tmp_path):
    assert refusal(DDPM.from_pretrained, tmp_path / "nowhere") == "bundle-missing"
    assert refusal(DDPM.from_pretrained, tmp_path) == "bundle-incomplete"


@pytest.mark.parametrize("key", ["unet", "schedule", "prediction"])
@pytest.mark.parametrize("damage", ["missing", None, 3, "wide", [], ["v"]])
def test_an_architecture_with_a_part_missing_or_of_another_type_is_refused(copy, key, damage):
    def change(architecture):
        architecture.pop(key)
        if damage != "missing":
            architecture[key] = damage

    edit(copy, change)
    assert refusal(DDPM.from_pretrained, copy) == "bundle-config"


@pytest.mark.parametrize(
    "wrong",
    [
        {"architecture": "other"},
        {"architecture": ["unshuffle"]},
        {"architecture": "homework"},
        {"channels": "wide"},
        {"channels": None},
        {"channels": 8},
        {"channels": [8, 8]},
        {"channels": [8, 8, 0]},
        {"channels": [8, 8, -8]},
        {"channels": [8, 8, 10**9]},
        {"channels": [8, 8, "8"]},
        {"channels": [8, 8, 8.0]},
        {"channels": [8, 8, 12]},
        {"time_width": 0},
        {"time_width": 10**9},
        {"time_width": "16"},
        {"time_width": 16.0},
        {"time_width": None},
        {"attention": None},
        {"attention": [True]},
        {"depth": 3},
    ],
    ids=str,
)
def test_a_network_that_does_not_exist_is_refused(copy, wrong):
    edit(copy, lambda architecture: architecture["unet"].update(wrong))
    assert refusal(DDPM.from_pretrained, copy) == "bundle-config"


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "quadratic"},
        {"kind": None},
        {"T": 0},
        {"T": -1},
        {"T": 10**9},
        {"T": 60.0},
        {"T": "60"},
        {"T": None},
        {"beta_start": -0.1},
        {"beta_start": "small"},
        {"beta_start": None},
        {"beta_end": 1.0},
        {"beta_end": [0.02]},
        {"gamma": 1},
    ],
    ids=str,
)
def test_a_schedule_that_does_not_exist_is_refused(copy, wrong):
    edit(copy, lambda architecture: architecture["schedule"].update(wrong))
    assert refusal(DDPM.from_pretrained, copy) == "bundle-config"


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("unet", {"channels": [8, 8, float("inf")]}),
        ("schedule", {"beta_end": float("nan")}),
        ("schedule", {"beta_end": float("inf")}),
        ("schedule", {"beta_end": 10**20}),
    ],
    ids=str,
)
def test_a_number_that_nothing_can_be_computed_with_is_damage(copy, part, wrong):
    edit(copy, lambda architecture: architecture[part].update(wrong))
    assert refusal(DDPM.from_pretrained, copy) == "bundle-damaged"


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("head.conv.bias"),
        lambda arrays: arrays.update(stranger=np.zeros(1, np.float16)),
        lambda arrays: arrays.update({"head.conv.bias": np.zeros(13, np.float16)}),
        lambda arrays: arrays.update({"head.conv.bias": np.zeros((12, 1), np.float16)}),
    ],
    ids=["missing", "extra", "longer", "other-shape"],
)
def test_weights_that_do_not_fit_are_refused(copy, change):
    arrays = load_file(copy / "model.safetensors")
    change(arrays)
    save_file(arrays, copy / "model.safetensors")
    assert refusal(DDPM.from_pretrained, copy) == "bundle-weights"


@pytest.mark.parametrize(
    "other", [{"channels": [8, 16, 8]}, {"time_width": 24}, {"attention": [True, True, True]}]
)
def test_weights_of_another_network_are_refused(copy, other):
    edit(copy, lambda architecture: architecture["unet"].update(other))
    assert refusal(DDPM.from_pretrained, copy) == "bundle-weights"


@pytest.mark.parametrize("kept", [0, 100, -7])
def test_truncated_weights_are_refused(copy, kept):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert refusal(DDPM.from_pretrained, copy) == "bundle-damaged"
