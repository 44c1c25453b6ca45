"""The networks that browsers run hold no weights, and give with a bundle's what PyTorch gives."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from core.ddpm import DDPM, DDPMConfig, UNetConfig
from core.errors import AtelierError
from core.families import open_bundle
from core.vae import VAE, VAEConfig
from train.release import graphs

REASON = "graphs need onnx, onnxscript and onnxruntime (tests/requirements.txt)"
onnx = pytest.importorskip("onnx", reason=REASON)
pytest.importorskip("onnxscript", reason=REASON)
onnxruntime = pytest.importorskip("onnxruntime", reason=REASON)

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
LISTED = json.loads((graphs.FOLDER / graphs.LIST).read_text("utf-8"))
BUNDLES = ("vae-svhn", "ddpm-svhn-500", "ddpm-svhn-1000", "ddpm-svhn-1500")
TINY_UNET = UNetConfig(channels=(8, 8, 8), time_width=16, attention=(False, True, False))
TINY = {
    "decoder": lambda: graphs.decoder_of(VAEConfig(channels=(8, 8, 16), latent_dim=10)),
    "homework decoder": lambda: graphs.decoder_of(VAEConfig("homework", 4, (4, 4, 4, 4))),
    "unet": lambda: graphs.unet_of(TINY_UNET),
}


def outputs(file, weights, **feeds):
    """What ONNX Runtime makes of a file and weights by name."""
    files = [name for name, tensor in weights.items() if tensor.dtype == torch.float32]
    buffers = [weights[name].contiguous().numpy().tobytes() for name in files]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_external_initializers_from_files_in_memory(files, buffers, list(map(len, buffers)))
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    feeds = {name: tensor.numpy() for name, tensor in feeds.items()}
    return torch.from_numpy(session.run(None, feeds)[0])


def stored(bundle):
    """The listed graph of a bundle, found as the app finds it."""
    architecture = bundle.config["architecture"]
    architecture = architecture.get("unet", architecture)
    found = [one for one in LISTED if one["architecture"] == architecture]
    assert len(found) == 1
    assert found[0]["family"] == bundle.family
    return graphs.FOLDER / found[0]["file"]


@torch.no_grad()
@pytest.mark.parametrize("name", BUNDLES)
def test_a_stored_graph_with_the_weights_of_a_bundle_is_its_network(name, seeded):
    bundle = open_bundle(CHECKPOINTS / name)
    weights = {
        key: torch.from_numpy(array) for key, array in bundle.arrays("model.safetensors").items()
    }
    if bundle.family == "vae":
        model = VAE.from_bundle(bundle)
        z = 2 * torch.randn(5, model.config.latent_dim, generator=seeded())
        found, wanted = outputs(stored(bundle), weights, z=z), model.decode(z).mean
    else:
        model = DDPM.from_bundle(bundle)
        x_t = torch.randn(2, 3, 32, 32, generator=seeded())
        t = torch.tensor([3, model.schedule.T - 1])
        found, wanted = outputs(stored(bundle), weights, x_t=x_t, t=t), model.unet(x_t, t)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("name", TINY)
def test_a_graph_takes_all_its_weights_from_outside(name, tmp_path, seeded):
    """The weights are not those that it was traced with: none of these may have stayed in it."""
    part = TINY[name]()
    (path,) = graphs.write(iter([part]), tmp_path)
    network = part.graph.network
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(0.5 + torch.rand(value.shape, generator=seeded(value.numel())))
    inputs = part.graph.draw(3, seeded())
    found = outputs(path, network.state_dict(), **dict(zip(part.graph.takes, inputs, strict=True)))
    (wanted,) = part.graph.reference(*inputs)
    assert (found - wanted).abs().max() <= 1e-4 * wanted.abs().max()
    assert np.isfinite(wanted.numpy()).all()


def test_every_stored_file_is_listed_and_small():
    files = sorted(path.name for path in graphs.FOLDER.glob("*.onnx"))
    assert files == sorted(one["file"] for one in LISTED)
    assert all((graphs.FOLDER / file).stat().st_size < 400_000 for file in files)


def test_the_presets_that_are_trained_are_known():
    known = [(one["family"], one["architecture"]) for one in LISTED]
    for config in (VAEConfig(), VAEConfig("homework", channels=(32, 64, 128, 256))):
        assert ("vae", VAE(config).architecture()) in known
    assert ("ddpm", DDPMConfig().unet.plain()) in known


def test_a_weight_that_cannot_be_left_out_is_refused(monkeypatch):
    """The optimizer of the exporter works out what follows from weights alone."""
    traced = graphs.traced_graph

    def optimized(graph, **options):
        made = traced(graph, **options | {"optimize": True})
        for one in made.graph.initializer:
            one.name = graphs.NETWORK + one.name.removeprefix(graphs.NETWORK)
        return made

    monkeypatch.setattr(graphs, "traced_graph", optimized)
    with pytest.raises(AtelierError, match="would hold weights"):
        graphs.without_weights(TINY["decoder"]().graph)
