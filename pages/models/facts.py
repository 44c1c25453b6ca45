"""What is known of a trained model without asking it: its place in the list, its run, how good it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.bundles.bundle import Bundle
from core.bundles.manifest import ManifestEntry
from core.errors import AtelierError
from pages.models.labels import VALUES
from pages.shared import controls, guests, training
from pages.shared.preferred import FAMILIES, FIRST_RECIPE
from pages.shared.text import N_, _, number, percent

Opened = dict[str, Bundle | AtelierError]
FAMILY_NAMES = {
    "vae": "VAE",
    "ddpm": "DDPM",
    "simsiam": "SimSiam",
    "judge": N_("Digit classifier"),
}


def ordered(entries: Iterable[ManifestEntry], opened: Opened) -> list[ManifestEntry]:
    """In the order of the navigation; a visitor's own first; of compared runs the narrow ones first,
    and of these the one that the others change.
    """

    def place(entry: ManifestEntry) -> tuple[object, ...]:
        found = opened.get(entry.name)
        run = (0, False)
        if isinstance(found, Bundle) and entry.family == "simsiam":
            run = (
                number_at(found.config, "architecture.width") or 0,
                recipe(found) != FIRST_RECIPE,
            )
        return (
            not guests.is_guest(entry.name),
            FAMILIES.index(entry.family) if entry.family in FAMILIES else len(FAMILIES),
            run,
            controls.in_numbers(entry.title),
        )

    return sorted(entries, key=place)


def with_card(entries: Sequence[ManifestEntry], opened: Opened) -> list[ManifestEntry]:
    """Which models have a card: of runs that are compared, one of each size, that the others change."""
    found, sizes = [], set()
    for entry in entries:
        of = opened.get(entry.name)
        if isinstance(of, Bundle) and entry.family == "simsiam" and not guests.is_guest(entry.name):
            size = (of.config["architecture"].get("width"), of.config["data"]["pictures"])
            if recipe(of) != FIRST_RECIPE or size in sizes:
                continue
            sizes.add(size)
        found.append(entry)
    return found


# ---------------------------------------------------------------- values


def number_at(nested: object, path: str) -> float | None:
    """The number that a path of keys leads to; None where there is none."""
    for key in path.split("."):
        nested = nested.get(key) if isinstance(nested, dict) else None
    return nested if isinstance(nested, int | float) and not isinstance(nested, bool) else None


def recipe(of: Bundle) -> str | None:
    """What one of the compared runs changes."""
    found = of.config["training"].get("recipe")
    return found if isinstance(found, str) else None


def epochs(of: Bundle) -> int:
    """Of the run itself."""
    return len(of.history)


def epochs_in_all(of: Bundle) -> int:
    """Of all runs that the weights went through."""
    return sum(one.epochs for one in of.ancestors) + epochs(of)


def updates(of: Bundle) -> int | None:
    """Updates of the weights of the run itself: as it counted, else whole batches an epoch."""
    counted = of.history[-1].get("updates") if of.history else None
    if isinstance(counted, int):
        return counted
    batch, pictures = batch_size(of), number_at(of.config, "data.pictures")
    return None if not batch or pictures is None else max(1, int(pictures) // batch) * epochs(of)


def batch_size(of: Bundle) -> int | None:
    found = number_at(of.config, "training.batch_size")
    return None if found is None else int(found)


def learning_rate(of: Bundle) -> float | None:
    """As configured: for compared runs that of a batch of 256."""
    return number_at(of.config, "training.learning_rate")


def peak_rate(of: Bundle) -> float | None:
    """The highest learning rate of the run: for compared runs in proportion to the batch."""
    rate, batch = learning_rate(of), batch_size(of)
    if of.family != "simsiam" or rate is None or batch is None:
        return rate
    return rate * batch / 256


def seconds_per_epoch(of: Bundle) -> float | None:
    """Wall-clock seconds, measuring included."""
    total = number_at(of.history[-1], "seconds_total") if of.history else None
    return None if total is None else total / epochs(of)


def minutes(of: Bundle) -> float | None:
    """Wall-clock minutes, with those of the runs that the weights went through before."""
    own = seconds_per_epoch(of)
    if own is None:
        return None
    ancestors = of.config["training"].get("ancestors") or ()
    before = [number_at(one, "minutes") for one in ancestors]
    return own * epochs(of) / 60 + sum(one or 0.0 for one in before)


# ---------------------------------------------------------------- in words


def data_name(of: Bundle) -> str:
    name = str(of.config["data"].get("name", ""))
    return VALUES.get(name, name)


def training_in_words(of: Bundle) -> str:
    """What it was trained on, and how long."""
    spent = minutes(of)
    sentence = (
        _("{pictures} pictures of {data} in the last run, {epochs} epochs")
        if of.ancestors
        else _("{pictures} pictures of {data}, {epochs} epochs")
    )
    words = sentence.format(
        pictures=number(of.config["data"]["pictures"], 0),
        data=data_name(of),
        epochs=training.epochs_in_words(of),
    )
    if spent is None:
        return words
    return words + ", " + _("{minutes} min").format(minutes=number(spent, 0 if spent >= 1 else 1))


def how_good(of: Bundle) -> str:
    """How good it is, in one line; empty where that was not measured."""
    share = {
        path: None if (found := number_at(of.metrics, path)) is None else percent(found)
        for path in (
            "judged.samples.sure",
            "judged.samples.sure_of_test",
            "test.knn_accuracy",
            "test.linear_accuracy",
            "test.accuracy",
        )
    }
    if of.family in ("vae", "ddpm") and share["judged.samples.sure"]:
        return _("The classifier is sure of **{share}** of its samples (real: {real}).").format(
            share=share["judged.samples.sure"], real=share["judged.samples.sure_of_test"] or "–"
        )
    if of.family == "vae":
        return _("Negative ELBO **{elbo}** nats.").format(
            elbo=number(of.metrics["test"]["negative_elbo"])
        )
    if of.family == "ddpm":
        return _("Squared error of the noise **{error}**.").format(
            error=number(of.metrics["test"]["eps_mse"], 4)
        )
    if of.family == "simsiam":
        classes = len(of.config["data"].get("class_names") or ()) or 1
        return _("kNN accuracy **{knn}**, linear probe **{probe}** (chance: {chance}).").format(
            knn=share["test.knn_accuracy"],
            probe=share["test.linear_accuracy"],
            chance=percent(1 / classes),
        )
    if share["test.accuracy"] is None:
        return ""
    return _("Right on **{accuracy}** of the test digits.").format(accuracy=share["test.accuracy"])
