"""Trains SimSiam and its siblings on pairs of views; leaves a bundle that tells of every epoch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from core.bundles.bundle import Bundle
from core.pictures.data import PictureSet
from core.simsiam import methods
from core.simsiam.joint_embedding import EMBEDDING_PRESETS, EmbeddingConfig, JointEmbedding
from core.simsiam.views import HARDER, Views, apply
from train.run import distributed, loop, options, run
from train.run import trainer as base
from train.run.recorded import recorded
from train.run.settings import Training
from train.simsiam import bundle as simsiam_bundle
from train.simsiam import diagnosis
from train.simsiam.diagnosis import Diagnosis, Protocol

NamedConfig = tuple[str, EmbeddingConfig]


@dataclass(frozen=True)
class SimSiamTraining(Training):
    """How a network learns from views: stochastic gradient descent with momentum, as the paper.

    ``learning_rate`` is that of a batch of 256 and grows with the batch; it falls by a cosine, but
    for the predictor, whose rate stays. ``views``: how views are made; ``heavy``: they are
    augmented further, by ``harder``, and DSSL gives those a direction. ``recipe``: the run's name
    among ``ABLATIONS``.
    """

    data: str = "cifar10"
    epochs: int = 100
    batch_size: int = 512
    learning_rate: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_steps: int = 10
    average_decay: float = 0.0
    recipe: str = "baseline"
    views: Views = field(default_factory=Views)
    heavy: bool = False
    harder: Views = HARDER
    protocol: Protocol = field(default_factory=Protocol)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, kind in (("views", Views), ("harder", Views), ("protocol", Protocol)):
            if isinstance(getattr(self, name), dict):
                object.__setattr__(self, name, kind(**getattr(self, name)))

    @property
    def peak_rate(self) -> float:
        """The learning rate of this batch size (Goyal et al. 2017, arXiv:1706.02677)."""
        return self.learning_rate * self.batch_size / 256


class ViewsLoss(nn.Module):
    """A method's loss as a forward pass, which is what several processes can share."""

    def __init__(self, model: JointEmbedding) -> None:
        super().__init__()
        self.model = model

    def forward(self, *pairs: Tensor) -> Tensor:
        loss, _outputs = self.model.views_loss(*pairs)
        return loss


class Trainer(base.Trainer):
    """Network, optimiser and data of a run."""

    family = "simsiam"
    records = True
    training_class = SimSiamTraining
    least_classes = 2  # between which the linear probe decides
    config: NamedConfig
    model: JointEmbedding
    training: SimSiamTraining

    def __init__(self, *settings: object) -> None:
        super().__init__(*settings)
        if self.config[0] == "dssl" and not self.training.heavy:
            raise ValueError("heavy must be set for dssl: it is made of harder views")
        loss = distributed.parallel(ViewsLoss(self.model), self.device)
        self.loss = recorded(loss, self.device, self.training.record)
        self.before: dict[str, float] = {}
        self.statistics: dict[str, Tensor] = {}
        self.arrays: list[dict[str, Tensor]] = []

    def build(self) -> JointEmbedding:
        return methods.build(*self.config)

    def build_optimizer(self) -> torch.optim.Optimizer:
        predictor = getattr(self.model, "predictor", nn.Identity())
        constant = [p for p in predictor.parameters() if p.requires_grad]
        others = {id(p) for p in constant}
        falling = [p for p in self.model.parameters() if p.requires_grad and id(p) not in others]
        groups = [{"params": falling}]
        if constant:
            groups.append({"params": constant, "constant": True})
        return torch.optim.SGD(
            groups,
            lr=self.training.peak_rate,
            momentum=self.training.momentum,
            weight_decay=self.training.weight_decay,
        )

    def compiled_parts(self) -> tuple[nn.Module]:
        return (self.model.backbone,)

    def peak_rate(self) -> float:
        return self.training.peak_rate

    # ------------------------------------------------------------ views

    def views(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Two views of this process's share of the rows, and two harder ones for DSSL.

        Drawn for the whole batch in every process: the views do not depend on how many there are.
        """
        x = loop.as_float(self.trained.levels[distributed.share(rows)])
        shares = distributed.share(torch.arange(len(rows), device=self.device))
        made = []
        for recipe in (self.training.views, self.training.harder)[: 1 + self.training.heavy]:
            drawn = [recipe.draw(len(rows), x.shape[-1], generator).rows(shares) for _ in range(2)]
            sources = made[-2:] or [x, x]
            made += [apply(x, one) for x, one in zip(sources, drawn, strict=True)]
        shown = made if self.config[0] == "dssl" else made[-2:]
        return tuple(view.contiguous(memory_format=torch.channels_last) for view in shown)

    def step(self, rows: Tensor, number: int, generator: torch.Generator) -> tuple[Tensor]:
        """One update on the given rows: the loss."""
        pairs = self.views(rows, generator)
        with loop.autocast(self.device):
            loss = self.loss(*pairs)
        self.descend(loss, number)
        self.model.after_step()
        return (loss.detach(),)

    def summary(self, steps: list[tuple[Tensor]]) -> dict[str, float]:
        losses = torch.stack([loss for (loss,) in steps])
        return {"train_loss": float(distributed.mean(losses.mean()))}

    # ------------------------------------------------------------ what is measured

    def averaged_model(self) -> JointEmbedding:
        """The model in eval mode, with batch statistics of its present weights."""
        return diagnosis.settle(super().averaged_model(), self.trained.levels, self.training.views)

    def diagnose(self, model: JointEmbedding) -> Diagnosis:
        before = Diagnosis({}, self.arrays[-1]) if self.arrays else None
        protocol = self.training.protocol
        return diagnosis.diagnose(model, self.trained, self.tested, protocol, before)

    def begin_with(self, bundle: Bundle) -> None:
        """As of every run; batch statistics of the untrained network are taken first.

        A page makes that network again from the seed, whatever the run begins with.
        """
        self.statistics = diagnosis.statistics_of(self.averaged_model())
        super().begin_with(bundle)

    def before_training(self) -> None:
        model = self.averaged_model()
        found = self.diagnose(model)
        self.before, self.arrays = found.figures, [found.arrays]
        self.statistics = self.statistics or diagnosis.statistics_of(model)

    def evaluate(self, model: JointEmbedding) -> dict[str, float]:
        found = self.diagnose(model)
        self.arrays.append(found.arrays)
        return found.figures

    def snapshot(self, model: nn.Module, folder: Path, epoch: int) -> None:
        """Such a network makes no pictures; what is kept of an epoch is in ``arrays``."""

    def seconds_at_end(self, model: JointEmbedding) -> float:
        pictures = len(self.trained.levels) + len(self.tested.levels)
        few = min(simsiam_bundle.BANK, len(self.tested.levels))
        once = loop.seconds_per_call(
            lambda: diagnosis.features_of(model, self.tested.levels[:few]), self.device, 1, 1
        )
        return 2 * once * pictures / few + 20

    def state(self) -> dict[str, object]:
        return {
            **super().state(),
            "before": self.before,
            "statistics": self.statistics,
            "arrays": self.arrays,
        }

    def restore(self, state: dict) -> None:
        super().restore(state)
        self.before, self.statistics = state["before"], state["statistics"]
        self.arrays = [{key: value.cpu() for key, value in one.items()} for one in state["arrays"]]

    # ------------------------------------------------------------ settings and bundle

    def architecture(self) -> dict[str, object]:
        return methods.architecture(self.model)

    @staticmethod
    def config_of(architecture: dict) -> NamedConfig:
        return methods.config_from(architecture)

    def write(
        self, folder: Path, train_set: PictureSet, test_set: PictureSet, settings: dict
    ) -> Path:
        return simsiam_bundle.write(
            folder,
            self.averaged_model(),
            self.before,
            self.statistics,
            self.arrays,
            train_set=train_set,
            test_set=test_set,
            history=self.history,
            settings=settings,
        )


start, resume, finish = (partial(verb, Trainer) for verb in (run.start, run.resume, run.finish))
"""The three verbs of ``train.run.run`` for self-supervised networks."""


# ---------------------------------------------------------------- the runs that are compared


@dataclass(frozen=True)
class Recipe:
    """What one run changes: the method, its configuration, its training."""

    method: str = "simsiam"
    config: Mapping[str, object] = field(default_factory=dict)
    training: Mapping[str, object] = field(default_factory=dict)


# BYOL's loss is four times SimSiam's: at a quarter of the rate, and four times the decay, a step is
# the same, and with momentum 0 the run is SimSiam's.
QUARTER = {"learning_rate": 0.0075, "weight_decay": 2e-3}
# The loss of Barlow Twins is a sum over channels, and its authors train with normalised rates (LARS).
# With plain descent its gradient has to be bounded, or the largest rate would fall with d: so one rate
# serves every d and batch, and nothing else differs between these runs.
BARLOW = {"learning_rate": 0.002, "clip_norm": 30.0}
LARGE = {"batch_size": 4096}
# As many updates an epoch as batches of 4,096 are in 50,000 pictures: the usual batch, and no more
# steps than the large one takes in as many epochs, along its own cosine.
FEW = {"updates_per_epoch": 12}
ABLATIONS = {
    "baseline": Recipe(),
    "no-stop-gradient": Recipe(config={"stop_gradient": False}),
    "no-predictor": Recipe(config={"predictor": "identity"}),
    "fixed-predictor": Recipe(config={"predictor": "fixed"}),
    "neither": Recipe(config={"stop_gradient": False, "predictor": "identity"}),
    "dim-4096": Recipe(config={"dim": 4096}),
    "batch-4096": Recipe(training=LARGE),
    "dim-4096-batch-4096": Recipe(config={"dim": 4096}, training=LARGE),
    "few-updates": Recipe(training=FEW),
    "dim-4096-few-updates": Recipe(config={"dim": 4096}, training=FEW),
    "heavy": Recipe(training={"heavy": True}),
    "heavy-dssl": Recipe("dssl", training={"heavy": True}),
    "byol": Recipe("byol", training=QUARTER),
    "byol-no-momentum": Recipe("byol", {"momentum": 0.0}, QUARTER),
    "barlow": Recipe("barlow_twins", training=BARLOW),
    "barlow-dim-4096": Recipe("barlow_twins", {"dim": 4096}, BARLOW),
    "barlow-batch-4096": Recipe("barlow_twins", training=BARLOW | LARGE),
    "barlow-dim-4096-batch-4096": Recipe("barlow_twins", {"dim": 4096}, BARLOW | LARGE),
    "barlow-no-redundancy": Recipe("barlow_twins", {"redundancy": 0.0}, BARLOW),
    "vicreg": Recipe("vicreg"),
    "vicreg-no-variance": Recipe("vicreg", config={"variance": 0.0}),
    "vicreg-no-covariance": Recipe("vicreg", config={"covariance": 0.0}),
}
"""Every run differs from ``baseline`` in what it names, and in a learning rate where its loss has
another scale."""


def named_config(recipe: Recipe, size: EmbeddingConfig) -> NamedConfig:
    """The recipe's method at a preset's size."""
    values = size.plain() | dict(recipe.config)
    return recipe.method, methods.method_class(recipe.method).config_class(**values)


# ---------------------------------------------------------------- the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_arguments(parser, tuple(EMBEDDING_PRESETS), SimSiamTraining(), augmented=False)
    parser.add_argument("--recipe", choices=tuple(ABLATIONS), help="default: baseline")
    for name in ("bank", "queries"):
        default = getattr(Protocol(), name)
        parser.add_argument(f"--{name}", type=int, help=f"pictures of the kNN, default: {default}")


def size_of(config: EmbeddingConfig) -> EmbeddingConfig:
    """What all methods have in common of a configuration."""
    return EmbeddingConfig(
        **{one.name: getattr(config, one.name) for one in fields(EmbeddingConfig)}
    )


def configure(
    arguments: argparse.Namespace, start: Bundle | None
) -> tuple[NamedConfig, SimSiamTraining]:
    """Method, network and recipe: of the preset that is named, or of the bundle to begin with.

    Without ``--recipe`` a run goes on by that of the bundle.
    """
    name = arguments.recipe or "baseline"
    size = EMBEDDING_PRESETS[arguments.preset or "default"]
    if start is not None:
        own, held = methods.config_from(start.config["architecture"]), start.config["training"]
        if arguments.preset is None:
            size = size_of(own[1])
        if arguments.recipe is None:
            name = held.get("recipe", name)
        else:  # which says d, or means the usual one
            size = replace(size, dim=EmbeddingConfig().dim)
    if name not in ABLATIONS:
        raise ValueError(f"recipe must be one of {', '.join(ABLATIONS)}, got {name!r}")
    recipe = ABLATIONS[name]
    given = {key: getattr(arguments, key) for key in ("bank", "queries")}
    protocol = Protocol(**{key: count for key, count in given.items() if count is not None})
    training = SimSiamTraining(**recipe.training)
    return named_config(recipe, size), replace(training, recipe=name, protocol=protocol)


def main(arguments: argparse.Namespace) -> None:
    with distributed.processes(loop.pick_device(arguments.device)) as device:
        options.main(Trainer, configure, arguments, device)
