"""The family ``simsiam``, SimSiam and its siblings, in one record."""

from __future__ import annotations

from core.family import Family
from core.simsiam.explorer import SimSiamExplorer, golden_deviation
from core.simsiam.methods import build_network, from_bundle

FAMILY = Family("simsiam", build_network, from_bundle, SimSiamExplorer, golden_deviation)
