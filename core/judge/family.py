"""The family ``judge``, in one record."""

from __future__ import annotations

from core.family import Family
from core.judge.explorer import JudgeExplorer, golden_deviation
from core.judge.model import Judge, build_network

FAMILY = Family("judge", build_network, Judge.from_bundle, JudgeExplorer, golden_deviation)
