"""A run that begins with the weights of a bundle: what it takes over, and how it says so.

Weights alone come over; optimiser, learning rate and moving average begin anew. The bundles that the
weights went through, the oldest first, stay in the settings of the run and come into its own bundle.
"""

from __future__ import annotations

from torch import nn

from core.bundles.bundle import Bundle
from core.bundles.weights import load_weights, need_weights
from core.errors import AtelierError
from core.families import open_bundle
from train.run import sets

Ancestor = dict[str, object]
"""``name``, ``title``, ``digest`` of a bundle; the data it learnt from, in words (``data``) and by name
and split (``data_name``, ``split``); how many ``epochs``, ``updates`` (None: it does not say) and
``minutes``; its ``history``, an object an epoch, so that pages can show all of the training."""


def open_start(place: str, family: str) -> Bundle:
    """The bundle to begin with: a folder, or ``user/name`` on the Hub.

    Raises ``AtelierError`` where it is missing, damaged, of another family or without weights.
    """
    bundle = open_bundle(place, family=family)
    need_weights(bundle)
    return bundle


def load_start(model: nn.Module, bundle: Bundle) -> None:
    """The bundle's weights into the network of a run; ``start-unfit`` where they do not fit it."""
    try:
        load_weights(model, bundle)
    except AtelierError as error:
        if error.code != "bundle-weights":
            raise
        raise AtelierError(
            "start-unfit",
            "The weights of {name} do not fit the network of this run: they differ in {key}.",
            name=bundle.place,
            key=error.values["key"],
        ) from error


def name_of(bundle: Bundle) -> str:
    """The name of a bundle; of one in the folder of its run, the name of the run."""
    return bundle.name if bundle.name != "bundle" else bundle.folder.resolve().parent.name


def ancestors(bundle: Bundle) -> tuple[Ancestor, ...]:
    """The bundles that a run goes through which begins with this one, this one last."""
    training, history = bundle.config["training"], bundle.history
    itself = {
        "name": name_of(bundle),
        "title": bundle.heading,
        "digest": bundle.digest,
        "data": sets.describe(bundle.config["data"])[0],
        "data_name": bundle.config["data"]["name"],
        "split": bundle.config["data"]["split"],
        "epochs": training.get("epochs_done", len(history)),
        "updates": history[-1].get("updates") if history else 0,
        "minutes": history[-1]["seconds_total"] / 60 if history else 0.0,
        "history": history,
    }
    return (*training.get("ancestors", ()), itself)


def epochs_of(training: dict) -> list[int]:
    """Epochs of a bundle's ancestors and then its own, from its ``training``."""
    earlier = [one["epochs"] for one in training.get("ancestors", ())]
    return [*earlier, training["epochs_done"]]


def length_in_words(config: dict, history: list[dict]) -> str:
    """For a model card: how long it was trained on what machine, and what it began with."""
    minutes = history[-1]["seconds_total"] / 60 if history else 0.0
    own = f"{_epochs(len(history))} in {_minutes(minutes)} on {config['training']['device']}."
    before = config["training"].get("ancestors", ())
    if not before:
        return own
    steps = ", then from ".join(
        f"{one['name']} ({one['title']}, {one['digest']}: {_epochs(one['epochs'])} in "
        f"{_minutes(one['minutes'])}; trained on {one['data']})"
        for one in before
    )
    return f"Went on from {steps}, then {own}"


def _minutes(count: float) -> str:
    return f"{count:.0f} minute{'' if round(count) == 1 else 's'}"


def _epochs(count: int) -> str:
    return f"{count} epoch" if count == 1 else f"{count} epochs"
