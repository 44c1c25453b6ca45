"""Self-supervised networks whose weights are here: which one is asked, and which stands beside it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import streamlit as st

from core.errors import AtelierError
from core.pictures.data import PictureSet
from core.pictures.images import Pictures
from core.simsiam.explorer import SimSiamExplorer
from core.simsiam.run_record import RunRecord
from core.simsiam.views import Views
from pages.shared import controls, data_sets, guests, library, loaders
from pages.shared.loaders import Timed
from pages.shared.text import _, plain_errors
from pages.simsiam.parts import runs

BESIDE = ("no-stop-gradient", "baseline")
"""What a network is shown beside, in order of preference: who collapses, then who does not."""
STRENGTHS = np.linspace(0, 2, 9)
DRAWS = 24
KEPT = 32
Result = TypeVar("Result")


# ---------------------------------------------------------------- which networks


@dataclass(frozen=True)
class Pair:
    """The network that a visitor chose, and another one of the same data, width and epochs."""

    chosen: RunRecord
    beside: RunRecord | None

    @property
    def both(self) -> list[RunRecord]:
        return [self.chosen] if self.beside is None else [self.chosen, self.beside]


def with_weights() -> list[list[RunRecord]]:
    """Runs whose weights are here, those that can be compared together.

    Raises ``AtelierError`` where there is none.
    """
    found = [[run for run in one.values() if run.bundle.has_weights] for one in runs.sets()]
    found = [one for one in found if one]
    if not found:
        raise AtelierError(
            "no-weights",
            "This page needs the weights of a self-supervised network, and no bundle here has any.",
        )
    return found


def pair(key: str) -> Pair:
    """The network to ask, chosen where there is more than one, and who stands beside it."""
    found = with_weights()
    records = {run.bundle.name: run for one in found for run in one}
    names = [runs.look(run).name for run in records.values()]
    labels = {
        code: runs.look(run).name if names.count(runs.look(run).name) == 1 else runs.signature(run)
        for code, run in records.items()
    }
    first = next((code for code in reversed(labels) if guests.is_guest(code)), None)
    code = next(iter(labels))
    if len(labels) > 1:
        code = controls.choice(_("Network"), labels, key, default=first)
    chosen = records[code]
    together = next(one for one in found if any(run is chosen for run in one))
    others = [run for run in together if run is not chosen]
    order = {recipe: place for place, recipe in enumerate(BESIDE)}
    others.sort(key=lambda run: order.get(run.recipe, len(order)))
    return Pair(chosen, others[0] if others else None)


def explorer(record: RunRecord) -> SimSiamExplorer:
    """The network of a run, ready to be asked."""
    return loaders.simsiam(record.bundle.name)


# ---------------------------------------------------------------- results, kept for all visitors


def kept(kind: str, request: Hashable, compute: Callable[[], Result]) -> Timed[Result]:
    """The answer to a request, computed once for all visitors; the last few of a kind are kept."""
    return library.timed(kind, KEPT, request, compute)


def by_strength(
    prefix: str,
    record: RunRecord,
    picture: Pictures,
    recipe: Views,
    others: Pictures,
    seed: int,
    *,
    trained: bool,
) -> Timed[dict[str, np.ndarray]]:
    """How alike views are as augmentation grows: ``same`` and ``other``, (S, DRAWS) each.

    The same random numbers at every strength, so that one thing varies.
    """
    request = (
        record.bundle.digest,
        trained,
        picture.tobytes(),
        recipe,
        others.tobytes(),
        seed,
    )
    recipes = [recipe.scaled(float(strength)) for strength in STRENGTHS]
    ask = explorer(record).agreements
    return kept(
        prefix, request, lambda: ask(picture, recipes, others, seed, DRAWS, trained=trained)
    )


# ---------------------------------------------------------------- the pictures of a bank


def training_set_at_hand(record: RunRecord) -> bool:
    """Whether there is a training split of that name; whether it is the run's own is not known."""
    settings = record.bundle.config["data"]
    return data_sets.at_hand(settings["name"], settings["split"])


def bank_pictures(record: RunRecord) -> PictureSet | None:
    """The pictures that a run was trained on; None where those at hand are others.

    Reading them takes seconds the first time.
    """
    settings = record.bundle.config["data"]
    with plain_errors():
        training = record.bundle.config["training"]
        # A run that took all pictures finds them at the beginning of a longer set.
        shares = training.get("selection") == "shares" and bool(training.get("pictures"))
        found = loaders.picture_set(
            settings["name"],
            settings["split"],
            settings["pictures"],
            "shares" if shares else "first",
        )
        _features, labels = explorer(record).bank
        kind = f"fingerprints_{settings['name']}"
        files = loaders.files_of(settings["name"], settings["split"])
        request = (files, settings["pictures"], shares)
        same = kept(kind, request, found.fingerprint).value == settings["fingerprint"]
        if same and np.array_equal(found.labels[: len(labels)], labels):
            return found
        st.caption(_("The training set at hand is not the one that this network was trained on."))
    return None
