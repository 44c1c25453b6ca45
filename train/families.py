"""The families that are trained, by name: a new one is a folder with a record, and a line here."""

from __future__ import annotations

from core.bundles.bundle import Bundle
from core.errors import AtelierError
from train.ddpm.family import TRAINED as DDPM
from train.family import TrainedFamily
from train.judge.family import TRAINED as JUDGE
from train.simsiam.family import TRAINED as SIMSIAM
from train.vae.family import TRAINED as VAE

TRAINED: dict[str, TrainedFamily] = {one.name: one for one in (VAE, DDPM, SIMSIAM, JUDGE)}


def trained_family_of(bundle: Bundle) -> TrainedFamily:
    """The family of a bundle; raises ``AtelierError`` ``verify-family`` where it is not trained here."""
    if bundle.family not in TRAINED:
        raise AtelierError(
            "verify-family", "No figures are known for the family {family}.", family=bundle.family
        )
    return TRAINED[bundle.family]
