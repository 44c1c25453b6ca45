"""Self-supervised networks whose weights are here: which one is asked, and which stands next to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from core.errors import AtelierError
from core.pictures import data
from core.pictures.images import Pictures
from core.simsiam.explorer import SimSiamExplorer
from core.simsiam.run_record import RunRecord
from core.simsiam.views import Views
from pages.shared import controls, data_sets, library, loaders, preferred
from pages.shared.loaders import Timed
from pages.shared.text import _, plain_errors
from pages.simsiam.parts import runs

BESIDE = ("no-stop-gradient", "baseline")
"""What a network is shown next to, in order of preference: who collapses, then who does not."""
STRENGTHS = np.linspace(0, 2, 9)
DRAWS = 24
KEPT = 32
UNTRAINED_KEPT = 4
OTHERS = "others"
"""In place of pictures: those at hand are not the ones that the network was trained on."""
AS_STORED = 2**-10
"""How far a feature may be from the stored one, as a share of the largest: a bank has 11 binary digits."""
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
    """The network to ask, chosen where there is more than one, and who stands next to it."""
    found = with_weights()
    records = {run.bundle.name: run for one in found for run in one}
    names = [runs.look(run).name for run in records.values()]
    labels = {
        code: runs.look(run).name if names.count(runs.look(run).name) == 1 else runs.signature(run)
        for code, run in records.items()
    }
    first = preferred.begin_with("simsiam", key, list(labels))
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


def compute_once(kind: str, request: Hashable, compute: Callable[[], Result]) -> Timed[Result]:
    """The answer to a request, computed once for all visitors; the last few of a kind are kept."""
    return library.timed_answer(kind, KEPT, request, compute)


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
    return compute_once(
        prefix, request, lambda: ask(picture, recipes, others, seed, DRAWS, trained=trained)
    )


# ---------------------------------------------------------------- the pictures of a bank


def training_set_at_hand(record: RunRecord) -> bool:
    """Whether there is a training split of that name; whether it is the run's own is not known."""
    settings = record.bundle.config["data"]
    return data_sets.at_hand(settings["name"], settings["split"])


def _of_bank(record: RunRecord, places: np.ndarray) -> Pictures | str:
    """Pictures (R, 32, 32, 3) of a run's bank by their places (R,) in it, or ``OTHERS``.

    They are the run's own if all labels of the bank are those of the files, and if the network gives the
    pictures read the very features that the bank holds of them.
    """
    settings, training = record.bundle.config["data"], record.bundle.config["training"]
    ask = explorer(record)
    features, labels = ask.bank
    every = data.split_labels(settings["name"], settings["split"])
    # A run that took all pictures finds them at the beginning of a longer set.
    shares = training.get("selection") == "shares" and bool(training.get("pictures"))
    rows = data.select(every, settings["pictures"], "shares" if shares else "first")
    if not np.array_equal(every[rows][: len(labels)], labels):
        return OTHERS
    pictures = data.load_rows(settings["name"], settings["split"], rows[places])
    stored = features[places].astype(np.float32)
    apart = np.abs(ask.features(pictures) - stored).max()
    return pictures if apart <= AS_STORED * np.abs(stored).max() else OTHERS


def bank_pictures(record: RunRecord, places: np.ndarray) -> Pictures | None:
    """Pictures (R, 32, 32, 3) of a run's bank by their places (R,) in it; None where those at hand are others.

    They alone are read from the files.
    """
    settings = record.bundle.config["data"]
    files = loaders.files_of(settings["name"], settings["split"])
    request = (record.bundle.digest, files, places.tobytes())
    with plain_errors():
        found = compute_once("bank_pictures", request, lambda: _of_bank(record, places)).value
        return None if isinstance(found, str) else found
    return None


def _untrained_request(record: RunRecord) -> tuple:
    settings = record.bundle.config["data"]
    return (record.bundle.digest, loaders.files_of(settings["name"], settings["split"]))


def has_untrained(record: RunRecord) -> bool:
    """Whether the network before this run's training is that of its seed.

    One that began with the weights of another bundle was trained before, and where it began is not stored.
    """
    return not record.bundle.ancestors


def is_untrained_bank_ready(record: RunRecord) -> bool:
    """Whether ``untrained_bank`` has its answer, or has none to give."""
    if not has_untrained(record) or not training_set_at_hand(record):
        return True
    return _known_untrained_bank(record) is not None


def are_other_pictures(record: RunRecord) -> bool:
    """Whether ``untrained_bank`` found that the pictures at hand are not the ones of this run.

    False where it was not asked, and where an error kept it from an answer.
    """
    known = _known_untrained_bank(record) if training_set_at_hand(record) else None
    return known is not None and isinstance(known.value, str)


def _known_untrained_bank(record: RunRecord) -> Timed[np.ndarray | str] | None:
    return library.answers("untrained_banks", UNTRAINED_KEPT).get(_untrained_request(record))


def untrained_bank(record: RunRecord) -> np.ndarray | None:
    """What the network made of its bank's pictures before training, (N, 8w); None where they are not here,
    or where its start was another bundle's weights.

    It is not stored: computed once for all visitors from the training pictures, in a few seconds.
    """
    if not has_untrained(record) or not training_set_at_hand(record):
        return None

    def compute() -> np.ndarray | str:
        ask = explorer(record)
        pictures = _of_bank(record, np.arange(len(ask.bank[1])))
        return pictures if isinstance(pictures, str) else ask.features(pictures, trained=False)

    with plain_errors():
        request = _untrained_request(record)
        found = library.timed_answer("untrained_banks", UNTRAINED_KEPT, request, compute).value
        return None if isinstance(found, str) else found
    return None
