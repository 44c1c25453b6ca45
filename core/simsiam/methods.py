"""The methods of self-supervised learning by name, as bundles and command lines call them."""

from __future__ import annotations

from pathlib import Path

import torch

from core.bundles.bundle import Bundle, damaged_file_error, unusable
from core.bundles.opening import open_bundle
from core.bundles.weights import load_weights, need_weights
from core.simsiam.barlow_twins import BarlowTwins
from core.simsiam.byol import BYOL
from core.simsiam.dssl import DSSL
from core.simsiam.joint_embedding import EmbeddingConfig, JointEmbedding
from core.simsiam.simsiam import SimSiam
from core.simsiam.vicreg import VICReg

METHODS: dict[str, type[JointEmbedding]] = {
    "simsiam": SimSiam,
    "dssl": DSSL,
    "byol": BYOL,
    "barlow_twins": BarlowTwins,
    "vicreg": VICReg,
}


def method_class(method: str) -> type[JointEmbedding]:
    """The class of a method; ValueError where there is none of that name."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    return METHODS[method]


def build(method: str, config: EmbeddingConfig | None = None) -> JointEmbedding:
    """A network of the method with fresh weights from torch's global generator."""
    return method_class(method)(config)


def method_of(model: JointEmbedding) -> str:
    """The name under which ``build`` makes such a network."""
    return next(name for name, kind in METHODS.items() if kind is type(model))


def architecture(model: JointEmbedding) -> dict[str, object]:
    """Method and configuration as plain values; ``config_from`` reads them back."""
    return {"method": method_of(model), **model.config.plain()}


def config_from(architecture: dict) -> tuple[str, EmbeddingConfig]:
    """Method and configuration of ``architecture``; ValueError or TypeError where they are none."""
    values = dict(architecture)
    method = values.pop("method", None)
    return method, method_class(method).config_class(**values)


def build_network(architecture: dict) -> JointEmbedding:
    """The untrained network that ``architecture`` of a ``config.json`` describes."""
    return build(*config_from(architecture))


def from_bundle(bundle: Bundle) -> JointEmbedding:
    """The network of a bundle that was read already; see ``from_pretrained``."""
    try:
        method, config = config_from(bundle.config["architecture"])
    except (TypeError, ValueError) as error:
        raise unusable(bundle.place, "architecture") from error
    model = build(method, config)
    load_weights(model, bundle)
    return model.eval()


def from_pretrained(folder_or_repo: str | Path, *, revision: str | None = None) -> JointEmbedding:
    """The network of a bundle: a folder, or a Hub repository at ``revision``.

    In eval mode, float32, on the CPU. Raises ``AtelierError`` when the bundle is missing,
    damaged, of another family, or without weights.
    """
    return from_bundle(
        open_bundle(folder_or_repo, networks={"simsiam": build_network}, revision=revision)
    )


def untrained_network(bundle: Bundle) -> JointEmbedding:
    """The network of a bundle before its first step: weights from its seed, eval mode.

    Of a bundle with ``ancestors`` it is not where the run began, which was another bundle's weights.
    Batch statistics are those that the run measured of its initial weights, which a record does
    not keep. Raises ``AtelierError`` as ``from_bundle`` does.
    """
    need_weights(bundle)
    try:
        method, config = config_from(bundle.config["architecture"])
    except (TypeError, ValueError) as error:
        raise unusable(bundle.place, "architecture") from error
    with torch.random.fork_rng(devices=[]):  # the global generator is put back
        torch.manual_seed(bundle.config["seed"])
        model = build(method, config)
    prefix = "before."
    statistics = {
        key[len(prefix) :]: torch.from_numpy(value)
        for key, value in bundle.profiles.items()
        if key.startswith(prefix)
    }
    try:
        model.load_state_dict({**model.state_dict(), **statistics})
    except RuntimeError as error:  # names or shapes of another network
        raise damaged_file_error(bundle.place, "profiles.safetensors") from error
    return model.eval()
