import json
from dataclasses import replace

import pytest
import torch

from core.ddpm import model as ddpm_models
from core.vae import networks as vae_networks
from train.__main__ import main
from train.ddpm import trainer as ddpm
from train.families import TRAINED
from train.release import pace
from train.run import loop
from train.vae import trainer as vae

CPU = torch.device("cpu")


@pytest.mark.slow
def test_a_matrix_product_reaches_more_than_any_trainer(tmp_path, capsys, monkeypatch, tiny):
    monkeypatch.setitem(vae_networks.PRESETS, "default", tiny)
    monkeypatch.setattr(pace, "TESTED", 20)
    file = tmp_path / "pace.json"
    assert main(["pace", "vae", "--batch-size", "8", "--device", "cpu", "--to", str(file)]) == 0
    said = json.loads(file.read_text())
    (found,) = said["paces"]
    assert 0 < found["share_of_peak"] < 1
    assert found["batch_size"] == 8
    assert found["pictures_a_second"] > 0
    assert found["evaluation_seconds"] > 0
    shares = [share for _name, share in found["operations"]]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1
    rate = found["pictures_a_second"] * found["gflop_a_picture"] * 1e9
    assert rate / (said["matrix_tflops"] * 1e12) == pytest.approx(found["share_of_peak"])
    assert "pictures/s" in capsys.readouterr().out


def test_operations_of_a_step_are_three_forward_passes_of_its_convolutions():
    """Backward passes cost two forward ones, but for the first layer, which needs no input's."""
    config = ddpm_models.PRESETS["default"]
    unet = replace(config.unet, channels=(8, 8, 8), attention=(False, False, False))
    pictures = pace.random_pictures(4, CPU, 0)
    trainer = ddpm.Trainer(
        replace(config, unet=unet), ddpm.DDPMTraining(batch_size=4), CPU, pictures, pictures
    )
    counted = []

    def count(module, inputs, output):
        if isinstance(module, torch.nn.Conv2d):
            per = module.weight[0].numel() * output.shape[0] * output.shape[2] * output.shape[3]
            counted.append(2 * per * module.out_channels)
        elif isinstance(module, torch.nn.Linear):
            counted.append(2 * module.weight.numel() * output.numel() // module.out_features)

    for module in trainer.model.modules():
        module.register_forward_hook(count)
    flops = pace.flops_of_a_step(trainer, torch.arange(4))
    forward = sum(counted)
    assert 3 * forward - counted[0] - 2 * max(counted) <= flops <= 3 * forward


def test_random_pictures_are_those_of_their_seed_in_ten_classes():
    one, again, other = (pace.random_pictures(20, CPU, seed) for seed in (0, 0, 1))
    assert torch.equal(one.levels, again.levels)
    assert not torch.equal(one.levels, other.levels)
    assert one.labels.bincount().tolist() == [2] * 10


def test_every_trainer_has_a_pace():
    for family in TRAINED.values():
        config, training = family.preset("default")
        assert isinstance(training, family.trainer.training_class)
        assert config is not None


def test_a_family_without_a_trainer_and_a_size_it_does_not_have_are_refused(capsys):
    assert main(["pace", "judge", "--preset", "narrow", "--device", "cpu"]) == 1
    assert "preset must be one that judge has, got 'narrow'" in capsys.readouterr().err
    assert main(["pace", "gan"]) == 1
    assert "families must be of vae, ddpm, simsiam, judge, got 'gan'" in capsys.readouterr().err


def test_the_average_of_weights_is_one_of_all_at_once(tiny):
    """Against the average of every weight on its own."""
    pictures = pace.random_pictures(16, CPU, 0)
    trainer = vae.Trainer(tiny, vae.VAETraining(batch_size=16), CPU, pictures, pictures)
    slow = {name: value.clone() for name, value in trainer.average.values.items()}
    generator = loop.epoch_generator(0, 0, "train", CPU)
    for number in range(3):
        trainer.step(torch.arange(16), number, generator)
        decay = min(trainer.average.decay, (2 + number) / (11 + number))
        for name, value in trainer.model.state_dict().items():
            slow[name] = decay * slow[name] + (1 - decay) * value
    torch.testing.assert_close(trainer.average.values, slow)
