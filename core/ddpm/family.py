"""The family ``ddpm``, in one record."""

from __future__ import annotations

from core.ddpm.explorer import DDPMExplorer, golden_deviation
from core.ddpm.model import DDPM, build_network
from core.family import Family

FAMILY = Family("ddpm", build_network, DDPM.from_bundle, DDPMExplorer, golden_deviation)
