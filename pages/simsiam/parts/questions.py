"""The assignment's questions about methods that learn from two views, answered by runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.simsiam.run_record import RunRecord
from pages.shared.text import N_, _, number, percent
from pages.simsiam.parts.findings import (
    Runs,
    compared_pairs,
    from_to,
    knn_queries,
    largest_fall,
    listed,
    peak_rate,
    percentage_points,
    seconds_an_epoch,
    settings_changed,
    standard_error,
    updates,
    value_at,
)
from pages.simsiam.parts.run_charts import spread_of


def barlow_alike(found: Runs) -> list[str]:
    """How both methods react to d and batch."""
    lines = compared_pairs(found, ("barlow", "baseline"))
    for recipe in ("dim-4096", "batch-4096", "dim-4096-batch-4096"):
        wanted = ("baseline", recipe, "barlow", f"barlow-{recipe}")
        ends = [found.get(name) for name in wanted]
        if all(ends):
            lines.append(reaction(*ends))
        else:
            lines += compared_pairs(found, (recipe, "baseline"), (f"barlow-{recipe}", "barlow"))
    large = [found[r] for r in ("batch-4096", "barlow-batch-4096") if r in found]
    if large and "baseline" in found:
        lines.append(
            _(
                "In the same number of epochs the large batch takes {few} updates of the weights, "
                "the other one {many}."
            ).format(few=number(updates(large[0]), 0), many=number(updates(found["baseline"]), 0))
        )
    return lines


def reaction(first: RunRecord, second: RunRecord, third: RunRecord, fourth: RunRecord) -> str:
    """From the first to the second run, and from the third to the fourth: alike or not?"""
    simsiam_moves = value_at(second, "test_knn_accuracy") - value_at(first, "test_knn_accuracy")
    barlow_moves = value_at(fourth, "test_knn_accuracy") - value_at(third, "test_knn_accuracy")
    apart = abs(simsiam_moves - barlow_moves) > 2 * standard_error(first, second, third, fourth)
    words = (
        _(
            "**{change}:** kNN accuracy of SimSiam {a} points, of Barlow Twins {b}. They react "
            "**differently**, by more than chance."
        )
        if apart
        else _(
            "**{change}:** kNN accuracy of SimSiam {a} points, of Barlow Twins {b}. That is **no "
            "difference** that {count} test pictures can tell from chance."
        )
    )
    return words.format(
        change=settings_changed(first, second),
        a=percentage_points(simsiam_moves),
        b=percentage_points(barlow_moves),
        count=number(knn_queries(first), 0),
    )


def heavy_views(found: Runs) -> list[str]:
    """What heavier views do, and where views are made at all."""
    lines = compared_pairs(
        found, ("heavy", "baseline"), ("heavy-dssl", "heavy"), ("heavy-dssl", "baseline")
    )
    here = [found[r] for r in ("baseline", "heavy", "heavy-dssl") if r in found]
    if here:
        lines.append(
            _(
                "Largest fall of the kNN accuracy from one epoch to the next, in points: {runs}."
            ).format(runs=listed(here, lambda record: number(100 * largest_fall(record), 1)))
        )
        lines.append(views_in_words(here[-1]))
    return lines


def views_in_words(record: RunRecord) -> str:
    """The augmentation of a run, from its configuration."""
    training = record.bundle.config["training"]
    standard, harder = training["views"], training["harder"]
    words = _(
        "**Where SimSiam augments:** only in making its views, twice for each picture of every "
        "batch: a crop of at least {crop} of the area, mirrored in {flip} of the cases, colours "
        "changed in {jitter}, grey in {grey}. The network is tested on pictures as they are."
    ).format(**{name: percent(standard[name]) for name in ("crop", "flip", "jitter", "grey")})
    if not training["heavy"]:
        return words
    return f"{words} " + _(
        "Harder views are further turned by up to {rotation}°, inverted where they are light in "
        "{solarize} of the cases, their quarters shuffled in {jigsaw}, and lose a square as wide "
        "as {cutout} of the picture."
    ).format(
        rotation=number(harder["rotation"], 0),
        **{name: percent(harder[name]) for name in ("solarize", "jigsaw", "cutout")},
    )


def kept_from_collapse(found: Runs) -> list[str]:
    """VICReg with and without its variance term."""
    lines = compared_pairs(found, ("vicreg", "vicreg-no-variance"))
    here = [found[r] for r in ("vicreg", "vicreg-no-variance") if r in found]
    if here:
        lines.append(
            _("Total variance of z, before training and at the end: {runs}.").format(
                runs=listed(here, lambda r: from_to(r, lambda e: value_at(r, "test_variance_z", e)))
            )
        )
        lines.append(
            _("std·√d of the normalised z, before training and at the end: {runs}.").format(
                runs=listed(here, lambda r: from_to(r, lambda e: spread_of(r, e)))
            )
        )
    return lines


def byol_or_simsiam(found: Runs) -> list[str]:
    """What the momentum adds, and what it costs."""
    lines = compared_pairs(
        found,
        ("byol", "baseline"),
        ("byol-no-momentum", "baseline"),
        ("byol", "byol-no-momentum"),
        ("byol-no-momentum", "no-stop-gradient"),
    )
    if {"byol-no-momentum", "baseline"} <= found.keys():
        pair = [found[name] for name in ("byol-no-momentum", "baseline")]
        first, second = (record.figures["test_knn_accuracy"] for record in pair)
        lines.append(
            _(
                "The kNN accuracies of BYOL with momentum 0 and of SimSiam lie {points} points "
                "apart at most, over all epochs. Their learning rates: {byol} and {simsiam}."
            ).format(
                points=number(100 * float(np.abs(first - second).max()), 1),
                byol=number(peak_rate(pair[0]), 3),
                simsiam=number(peak_rate(pair[1]), 3),
            )
        )
    if "byol" in found:
        record = found["byol"]
        momentum = record.bundle.config["architecture"]["momentum"]
        lines.append(
            _(
                "With m = {m} the target is an average over about 1/(1 − m) = {memory} updates, of "
                "{all} in the whole run. With m = 0 it is the network itself as the last update "
                "left it: **SimSiam's stop-gradient, computed the long way round**."
            ).format(
                m=number(momentum, 2),
                memory=number(1 / (1 - momentum), 0),
                all=number(updates(record), 0),
            )
        )
        if "baseline" in found:
            lines.append(
                _(
                    "The target is a second pass of both views, without gradient: an epoch of "
                    "training took {byol} s with BYOL, {simsiam} s with SimSiam, whatever else their "
                    "machine did."
                ).format(
                    byol=number(seconds_an_epoch(record), 1),
                    simsiam=number(seconds_an_epoch(found["baseline"]), 1),
                )
            )
    return lines


def asymmetry(found: Runs) -> list[str]:
    """SimSiam without what makes its branches differ."""
    others = ("no-predictor", "fixed-predictor", "no-stop-gradient", "neither")
    lines = compared_pairs(found, *(("baseline", other) for other in others))
    if "baseline" in found:
        lines.append(
            _(
                "The predictor keeps its learning rate of {rate} to the end, while that of encoder "
                "and projector falls from {rate} to 0 by a cosine: it has to keep up with a "
                "representation that still moves."
            ).format(rate=number(peak_rate(found["baseline"]), 3))
        )
    return lines


@dataclass(frozen=True)
class Question:
    """One of the assignment's questions: the runs that answer it, and how they are read."""

    label: str
    words: str
    recipes: tuple[str, ...]
    answer: Callable[[Runs], list[str]]
    why: str


QUESTIONS = {
    "5c": Question(
        N_("5 c · Barlow Twins"),
        N_(
            "Give the projector 4,096 outputs instead of 2,048, and train in batches of 4,096. "
            "**Would Barlow Twins react as SimSiam does?**"
        ),
        (
            "baseline",
            "dim-4096",
            "batch-4096",
            "dim-4096-batch-4096",
            "barlow",
            "barlow-dim-4096",
            "barlow-batch-4096",
            "barlow-dim-4096-batch-4096",
        ),
        barlow_alike,
        N_(
            "SimSiam's loss looks at one picture at a time: d only says how long z is, and the "
            "batch matters through batch normalisation, through the number of updates, and "
            "through the learning rate that grows with it. The loss of Barlow Twins is a sum over "
            "d × d correlations, each estimated from one batch. More channels are more "
            "decorrelated directions to fill, so that its authors find it to gain from d far "
            "beyond 2,048 where other methods do not (figure 4 of the paper); a larger batch "
            "estimates C better, yet small batches do (figure 2)."
        ),
    ),
    "6": Question(
        N_("6 · Heavy augmentation"),
        N_(
            "Heavy augmentation makes SimSiam unstable. **Where does SimSiam augment at all, and "
            "what could be done about it?**"
        ),
        ("baseline", "heavy", "heavy-dssl"),
        heavy_views,
        N_(
            "A view that was turned, shuffled and cut out has lost much of its picture. The "
            "symmetric loss draws both views together, so it also draws the good view towards "
            "what is left in the bad one. DSSL gives the pair a direction: the harder view learns "
            "from the standard view that it was made from, whose gradient is stopped; among "
            "standard views the loss stays symmetric."
        ),
    ),
    "7": Question(
        N_("7 · Avoiding collapse"),
        N_(
            "Both branches could ignore their input and answer with one constant vector. **What "
            "keeps them from it?** VICReg says so in its loss: take the term away."
        ),
        ("vicreg", "vicreg-no-variance"),
        kept_from_collapse,
        N_(
            "Ways out of collapse: negatives that push other pictures away (contrastive methods); "
            "asymmetry (stop-gradient with a predictor: SimSiam; a momentum target: BYOL); "
            "statistics of the batch (Barlow Twins, VICReg). VICReg has three terms. "
            "**Invariance** s: both views have the same z. **Variance** v: every channel has a "
            "standard deviation of 1 at least. **Covariance** c: no two channels vary together. "
            "Without v a constant z makes the two others 0. Without c all channels may say the "
            "same: a collapse to one direction."
        ),
    ),
    "8": Question(
        N_("8 · BYOL and SimSiam"),
        N_(
            "BYOL's target is a moving average of the network, SimSiam's is the network itself "
            "with its gradient stopped. **Is it the momentum that prevents collapse?**"
        ),
        ("baseline", "byol", "byol-no-momentum", "no-stop-gradient"),
        byol_or_simsiam,
        N_(
            "Both have a predictor, both stop the gradient at the target, and both losses are the "
            "same cosine on another scale. They differ in the target: BYOL keeps a second set of "
            "weights that follows slowly, so that the target is steadier than any single step of "
            "the network; SimSiam shares its weights. What both cannot do without is the stopped "
            "gradient and the predictor: momentum makes targets steadier, it is not what prevents "
            "collapse. BYOL's loss is 4 + 4 times SimSiam's: at a quarter of the learning rate and four "
            "times the weight decay, momentum 0 takes SimSiam's very steps."
        ),
    ),
    "9": Question(
        N_("9 · Asymmetry"),
        N_(
            "SimSiam treats its two views differently: one goes through a predictor, the other "
            "gets no gradient. **What is that asymmetry good for?**"
        ),
        ("baseline", "no-predictor", "fixed-predictor", "no-stop-gradient", "neither"),
        asymmetry,
        N_(
            "Symmetric branches can meet anywhere, and the nearest place to meet is a constant. "
            "With the gradient stopped on one side, one branch moves and the other one is a fixed "
            "goal for that step: the two parts take turns, as in k-means. The predictor makes the "
            "goal one that can be reached: the mean over all views of a picture. Without predictor "
            "p is z, and since both orders of the views count, stopping the gradient **halves it "
            "and leaves its direction**: the symmetric loss is back. A predictor that cannot "
            "learn asks for something that has nothing to do with the pictures. The gain: no "
            "negatives, no large batches, no second network."
        ),
    ),
}
