"""From a network trained on views to its bundle: final figures, spectra and maps by epoch, card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.bundles import bundle as bundles
from core.bundles.weights import stored_weights
from core.linear_probe import linear_probe
from core.pictures.data import PictureSet
from core.simsiam import methods, neighbours
from core.simsiam.explorer import golden_deviation, golden_outputs
from core.simsiam.joint_embedding import JointEmbedding
from core.simsiam.run_record import RIGHT
from train.run import ancestry, sets
from train.run.bundling import Measurements, bundle_config, rounded
from train.run.loop import Resident
from train.simsiam import diagnosis
from train.simsiam.diagnosis import Protocol

BANK = 5000
"""Training pictures whose features a bundle holds: what a page looks up neighbours in."""

TITLES = {
    "simsiam": "SimSiam",
    "dssl": "DSSL on SimSiam",
    "byol": "BYOL",
    "barlow_twins": "Barlow Twins",
    "vicreg": "VICReg",
}


# ---------------------------------------------------------------- figures at the end


def measure(
    model: JointEmbedding,
    about: dict,
    train_set: PictureSet,
    test_set: PictureSet,
    device: torch.device,
) -> Measurements:
    """All diagnostics, kNN and linear probe of stored (float16) weights over all pictures."""
    model = model.to(device, memory_format=torch.channels_last)
    trained, tested = Resident.of(train_set, device), Resident.of(test_set, device)
    classes = tested.classes
    bank = diagnosis.features_of(model, trained.levels)
    queries = diagnosis.features_of(model, tested.levels)
    few = Protocol(queries=2, bank=2, k=1)  # all pictures are looked up below
    spread = diagnosis.diagnose(model, trained, tested, few).figures
    del spread["test_knn_accuracy"]
    by_vote = neighbours.named_right(queries, tested.labels, bank, trained.labels, classes)
    probe = linear_probe(bank, trained.labels, queries, tested.labels, classes)
    figures = {
        "knn_accuracy": float(by_vote.double().mean()),
        "linear_accuracy": probe.test_accuracy,
        "linear_train_accuracy": probe.train_accuracy,
        "bank": len(bank),
        "queries": len(queries),
        **{name.removeprefix("test_"): value for name, value in spread.items()},
    }
    kept = min(BANK, len(bank))
    arrays = {
        "bank_features": bank[:kept].half().cpu().numpy(),
        "bank_labels": kept_labels(trained.labels[:kept], classes),
        RIGHT["knn_accuracy"]: diagnosis.pack_bits(by_vote).numpy(),
        RIGHT["linear_accuracy"]: diagnosis.pack_bits(probe.test_right).numpy(),
    }
    return Measurements({"test": figures, "protocol": protocol(about)}, arrays, {})


def kept_labels(labels: Tensor, classes: int) -> np.ndarray:
    """Labels (n,) in [0, ``classes``), a byte each where that is enough."""
    return labels.to(torch.uint8 if classes <= 256 else torch.int32).cpu().numpy()


def by_epoch(
    arrays: list[dict[str, Tensor]], labels: Tensor, classes: int
) -> dict[str, np.ndarray]:
    """Spectra (E + 1, 256) as log10, maps (E + 1, n, 2), labels (n,), which pictures kNN names right
    (E + 1, ceil(queries / 8)), from before training on.

    A run that began before it kept the last one, and went on since, goes without it.
    """
    stacked = {}
    for name in ("z", "h"):
        spectra = torch.stack([one[f"spectrum_{name}"] for one in arrays])
        stacked[f"spectrum_{name}_log10"] = spectra.clamp(min=1e-7).log10().half().numpy()
        maps = torch.stack([one[f"map_{name}"] for one in arrays])
        stacked[f"map_{name}"] = maps.half().numpy()
    if all("right" in one for one in arrays):
        stacked[RIGHT["knn_by_epoch"]] = torch.stack([one["right"] for one in arrays]).numpy()
    shown = stacked["map_z"].shape[1]
    return {**stacked, "map_labels": kept_labels(labels[:shown], classes)}


# ---------------------------------------------------------------- the bundle


def golden(model: JointEmbedding) -> dict[str, np.ndarray]:
    """Generated inputs and what the network makes of them, on the CPU in float32."""
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    outputs = golden_outputs(model, {"x": x})
    return {"input.x": x.numpy(), **{f"output.{key}": v.numpy() for key, v in outputs.items()}}


def write(
    folder: Path,
    model: JointEmbedding,
    before: dict[str, float],
    statistics: dict[str, Tensor],
    arrays: list[dict[str, Tensor]],
    *,
    train_set: PictureSet,
    test_set: PictureSet,
    history: list[dict],
    settings: dict,
) -> Path:
    """Measure the weights as they will be stored, write the bundle.

    ``before``: figures before the first step; ``statistics``: batch statistics of the initial
    weights, from which, with the seed, a page makes the untrained network again.
    """
    config = bundle_config("simsiam", methods.architecture(model), settings, test_set, len(history))
    device = next(model.parameters()).device
    measured = measure(rounded(model), config["data"], train_set, test_set, device)
    metrics = {**measured.metrics, "before": before}
    labels = torch.from_numpy(test_set.labels)
    initial = {f"before.{key}": value.cpu().numpy() for key, value in statistics.items()}
    written = bundles.write_bundle(
        folder,
        config=config,
        weights=stored_weights(model),
        history=history,
        metrics=metrics,
        profiles={
            **measured.profiles,
            **by_epoch(arrays, labels, len(test_set.class_names)),
            **initial,
        },
        golden=golden(rounded(model)),
        progress={},
        card=card(config, metrics, history),
        check=golden_deviation,
    )
    return written.folder


def protocol(about: dict) -> str:
    """What the figures of ``metrics.json`` were measured on, in one paragraph."""
    trained, tested = sets.describe(about)
    return (
        f"Trained on: {trained}. Measured on: {tested}. Stored float16 weights, arithmetic in "
        "float32, batch statistics measured anew at the end. kNN: 200 neighbours by cosine "
        "similarity of backbone features, temperature 0.1, among all training pictures of the run. "
        "Linear probe: multinomial logistic regression on standardised backbone features. Std, "
        "effective rank (of singular values of centred outputs), variance and uniformity: the first "
        "1,000 test pictures without augmentation; alignment: two standard views of each. "
        "Figures by epoch have fewer pictures: the configuration's protocol names them."
    )


def size_in_words(config: dict) -> str:
    """How large the network is, and whether it was made on an accelerator."""
    parts = config["architecture"]
    _method, values = methods.config_from(parts)
    with torch.random.fork_rng(devices=[]):
        model = methods.build(parts["method"], values)
    encoder = sum(p.numel() for p in model.backbone.parameters())
    whole = sum(p.numel() for p in model.parameters())
    kind = "the paper's" if parts["width"] == 64 else "a narrow one, for two cores"
    return (
        f"a ResNet-18 of width {parts['width']} ({kind}; stem: {parts['stem']}), {encoder:,} "
        f"parameters in the backbone, {whole:,} in all; z has {parts['dim']:,} dimensions"
    )


def what_differs(config: dict) -> str:
    """The switches of this run in words."""
    parts, training = config["architecture"], config["training"]
    said = [f"batch of {training['batch_size']:,}"]
    if "stop_gradient" in parts:
        said.append("stop-gradient" if parts["stop_gradient"] else "no stop-gradient")
        said.append(
            {"mlp": "predictor", "identity": "no predictor", "fixed": "fixed random predictor"}[
                parts["predictor"]
            ]
        )
    if "momentum" in parts:
        said.append(f"target with momentum {parts['momentum']:g}")
    for term in ("variance", "covariance", "redundancy"):
        if term in parts:
            said.append(f"{term} term weighted {parts[term]:g}")
    if training.get("updates_per_epoch"):
        said.append(f"{training['updates_per_epoch']} updates an epoch")
    said.append("heavy augmentation" if training["heavy"] else "standard augmentation")
    return ", ".join(said)


LOAD = """
```python
from core import methods
model = methods.from_pretrained("path/to/this/folder")
h = model.features(pictures)  # pictures (B, 3, 32, 32) in [-1, 1]; h (B, 8 width)
```
"""


def card(config: dict, metrics: dict, history: list[dict]) -> str:
    """The model card: what it is, what it was trained on, what it knows and whether it collapsed."""
    trained, tested = sets.describe(config["data"])
    terms, test, before = sets.terms_of(config), metrics["test"], metrics["before"]
    loss = history[-1]["train_loss"] if history else float("nan")
    title = TITLES[config["architecture"]["method"]]
    load = LOAD if bundles.keeps_weights(config) else ""
    kept = "" if load else "The weights were not kept, the run's history and statistics were.\n\n"
    isotropic = config["architecture"]["dim"] ** -0.5
    from_a_bundle = config["training"].get("ancestors")
    begun = "of the weights that it began with" if from_a_bundle else "before training"
    return f"""---
library_name: latent-atelier
tags: [self-supervised-learning, representation-learning, education]
{terms.front_matter}
---
# {title}: {config["training"]["recipe"]}

{title} with {size_in_words(config)}.
This run: {what_differs(config)}. It is one of a set of runs made to see what keeps such networks from
collapsing: it is made for learning and teaching, and no good classifier.

**Trained on** {trained}, without their labels.

{ancestry.length_in_words(config, history)} {terms.sentence}
No picture of the data set is in this folder.

{kept}| on {tested} | |
|---|---|
| kNN accuracy, {test["bank"]:,} training pictures as bank | {test["knn_accuracy"]:.2%} |
| linear probe | {test["linear_accuracy"]:.2%} |
| kNN accuracy {begun}, fewer pictures | {before["test_knn_accuracy"]:.2%} |
| training loss at the end | {loss:.4f} |
| std of l2-normalised z (isotropic: {isotropic:.4f}; collapsed: 0) | {test["std_z"]:.4f} |
| effective rank of z | {test["rank_z"]:.1f} |
| effective rank of backbone features | {test["rank_h"]:.1f} |

{metrics["protocol"]}
{load}"""
