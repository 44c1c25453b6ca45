"""A self-supervised run, epoch by epoch; needs no weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.bundles.bundle import Bundle, unusable
from core.contents import RUN_FIGURES
from core.errors import AtelierError
from core.simsiam import methods

Layer = Literal["z", "h"]
Share = Literal["knn_accuracy", "linear_accuracy", "knn_by_epoch"]

RIGHT = {
    "knn_accuracy": "right_knn",
    "linear_accuracy": "right_linear",
    "knn_by_epoch": "right_by_epoch",
}
"""Arrays of which test pictures a share counts as right, eight a byte (``np.packbits``): of the final kNN
accuracy and linear probe (ceil(n / 8),), of the kNN accuracy by epoch (E + 1, ceil(n / 8))."""


@dataclass(frozen=True)
class RunRecord:
    """One run: E epochs, with the network before training as epoch 0.

    ``epochs`` (E + 1,): 0 to E. ``figures``: by name, each (E + 1,), ``train_loss`` NaN at epoch 0.
    ``spectra``: singular values of z and of h, (E + 1, 256), falling, 0 where there are no more.
    ``maps``: test pictures on the plane of their first two components, rows l2-normalised,
    (E + 1, n, 2); ``labels`` (n,).
    """

    bundle: Bundle
    epochs: np.ndarray
    figures: dict[str, np.ndarray]
    spectra: dict[Layer, np.ndarray]
    maps: dict[Layer, np.ndarray]
    labels: np.ndarray

    @property
    def recipe(self) -> str:
        """The run's name among those that are compared: ``baseline``, ``no-stop-gradient`` …"""
        return self.bundle.config["training"].get("recipe", self.bundle.name)

    @property
    def method(self) -> str:
        return self.bundle.config["architecture"]["method"]

    @property
    def dim(self) -> int:
        """d, the dimension of z."""
        return self.bundle.config["architecture"]["dim"]

    @property
    def seed(self) -> int:
        return self.bundle.config["seed"]

    @property
    def batch_size(self) -> int:
        return self.bundle.config["training"]["batch_size"]

    @property
    def queries(self) -> int:
        """How many test pictures the kNN accuracy of every epoch is over."""
        config = self.bundle.config
        return min(config["training"]["protocol"]["queries"], config["data"]["test_pictures"])

    @property
    def bank(self) -> int:
        """How many training pictures vote for the kNN accuracy of every epoch."""
        config = self.bundle.config
        return min(config["training"]["protocol"]["bank"], config["data"]["pictures"])

    def right(self, measure: Share, epoch: int = -1) -> np.ndarray | None:
        """Which test pictures a share counts as right, bool (n,) in the order of the test set.

        ``epoch`` of the kNN accuracy by epoch; the other shares are those of the last one. None where the run
        does not keep that, or keeps what does not give its share.
        """
        stored, test = self.bundle.profiles.get(RIGHT[measure]), self.bundle.metrics["test"]
        if by_epoch := measure == "knn_by_epoch":
            count, share = self.queries, self.figures["test_knn_accuracy"][epoch]
        else:
            count, share = test["queries"], test[measure]
        shape = (-(-count // 8),)
        shape = (len(self.epochs), *shape) if by_epoch else shape
        if stored is None or stored.dtype != np.uint8 or stored.shape != shape:
            return None
        stored = stored[epoch] if by_epoch else stored
        found = np.unpackbits(stored, count=int(count)).astype(bool)
        return found if abs(found.mean() - share) * count < 0.5 else None

    @property
    def updates(self) -> np.ndarray:
        """(E + 1,), updates of the weights up to every epoch.

        As the run counted them, or, where it did not, whole batches an epoch, one at least.
        """
        counted = [row.get("updates") for row in self.bundle.history]
        if counted and all(isinstance(count, int) for count in counted):
            return np.array([0, *counted])
        pictures = self.bundle.config["data"]["pictures"]
        return max(1, pictures // self.batch_size) * self.epochs

    def epoch_of(self, updates: int) -> int:
        """The last epoch up to which it had taken no more than that number of updates."""
        return int(np.searchsorted(self.updates, updates, side="right")) - 1

    @property
    def comparable(self) -> tuple[object, ...]:
        """What runs must have in common before their curves are drawn over one another.

        Data and number of pictures, width and stem of the backbone, hidden layers, epochs.
        """
        config = self.bundle.config
        about, parts = config["data"], config["architecture"]
        return (
            about["name"],
            about["split"],
            about["pictures"],
            parts["width"],
            parts["stem"],
            parts["hidden"],
            len(self.epochs) - 1,
        )


def read_run(bundle: Bundle) -> RunRecord:
    """The run of a bundle; ``AtelierError`` ``bundle-config`` or ``bundle-run`` where it cannot be."""
    try:
        methods.config_from(bundle.config["architecture"])
    except (TypeError, ValueError) as error:
        raise unusable(bundle.place, "architecture") from error
    try:
        rows = [{**bundle.metrics["before"], "train_loss": np.nan}, *bundle.history]
        figures = {
            name: np.array([row[name] for row in rows]) for name in (*RUN_FIGURES, "train_loss")
        }
        held = bundle.profiles
        spectra = {layer: 10.0 ** held[f"spectrum_{layer}_log10"] for layer in ("z", "h")}
        maps = {layer: held[f"map_{layer}"] for layer in ("z", "h")}
        labels = held["map_labels"].astype(np.int64)
    except (KeyError, TypeError) as absent:
        raise AtelierError(
            "bundle-run",
            "The bundle {name} does not tell of its run what this page shows: {what} is missing.",
            name=bundle.place,
            what=str(absent).strip("'"),
        ) from absent
    spectra = {layer: np.where(s > 2e-7, s, 0.0) for layer, s in spectra.items()}
    return RunRecord(bundle, np.arange(len(rows)), figures, spectra, maps, labels)
