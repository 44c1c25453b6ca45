"""The assignment's questions about methods that learn from two views, answered by runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from core.simsiam.run_record import RunRecord
from pages.shared.text import N_, _, number, percent
from pages.simsiam.parts.evidence import (
    Chance,
    Knn,
    Measure,
    Runs,
    at_the_end,
    by_picture,
    comparisons,
    margin,
    points,
    sign,
)
from pages.simsiam.parts.findings import (
    around_largest_fall,
    before_largest_fall,
    from_to,
    largest_fall,
    names_with,
    peak_rate,
    recipe_names,
    settings_changed,
    updates_of,
    value_at,
    without,
)
from pages.simsiam.parts.run_charts import spread_of

REACTION = N_("**{change}** ({updates} updates): SimSiam {a}, Barlow Twins {b}.")
OTHER_RATE = N_(
    "But Barlow Twins had another learning rate as well, {new} in place of {old} (a batch of 256): "
    "**these runs cannot answer.**"
)
REACTIONS = {
    "alike": N_("That is **no difference** beyond chance."),
    "unclear": N_("Only one of the two measures tells them apart, or they disagree."),
    "differ": N_("They react **differently**, by more than chance."),
}
"""Whether both methods react alike to another d or batch."""
MOVES = N_("kNN {knn} points, linear probe {probe}")
DSSL_PASSES = N_(
    "An update of DSSL takes {dssl} forward passes through the encoder, one of SimSiam {simsiam}: "
    "at equal epochs the DSSL run has seen more views of every picture."
)
UNSTABLE = N_("**The heavy run is unstable**: its kNN accuracy falls by more than the baseline's.")
NO_INSTABILITY = N_(
    "**No instability shows in this run**: from one epoch to the next its kNN accuracy falls further "
    "than the baseline's by no more than chance allows."
)
LARGEST_FALL = N_("Largest fall of the kNN accuracy from one epoch to the next, in points: {runs}.")
VIEWS = N_(
    "**Where SimSiam augments:** only in making its views, twice for each picture of every "
    "batch: a crop of at least {crop} of the area, mirrored in {flip} of the cases, colours "
    "changed in {jitter}, grey in {grey}. The network is tested on pictures as they are."
)
HARDER_VIEWS = N_(
    "Harder views are further turned by up to {rotation}°, inverted where they are light in "
    "{solarize} of the cases, their quarters shuffled in {jigsaw}, and lose a square as wide "
    "as {cutout} of the picture."
)
VARIANCE_AT_BOTH_ENDS = N_("Total variance of z, before training and at the end: {runs}.")
SPREAD_AT_BOTH_ENDS = N_("std·√d of the normalised z, before training and at the end: {runs}.")
TARGET_COSTS = N_(
    "**What the target costs:** an update of SimSiam takes {simsiam} forward passes through an "
    "encoder, one a view; BYOL's takes {byol}, of which {follows} go through the target and need "
    "no backward pass. BYOL also keeps a second set of weights."
)
SAME_STEPS = N_(
    "The kNN accuracies of BYOL with momentum 0 and of SimSiam lie {points} points "
    "apart at most, over all epochs. Their learning rates: {byol} and {simsiam}."
)
MEMORY = N_(
    "With m = {m} the target is an average over about 1/(1 − m) = {memory} updates, of "
    "{all} in the whole run. With m = 0 it is the network itself as the last update "
    "left it: **SimSiam's stop-gradient, only with a copy of the weights**."
)
KEEPS_ITS_RATE = N_(
    "The predictor keeps its learning rate of {rate} to the end, while that of encoder "
    "and projector falls from {rate} to 0 by a cosine: it has to keep up with a "
    "representation that still moves."
)

MEASURES: tuple[Measure, ...] = ("knn_accuracy", "linear_accuracy")
"""By which the ends of runs are compared."""

# ---------------------------------------------------------------- 3.5 c


def barlow_alike(found: Runs) -> list[str]:
    """How both methods react to d and batch."""
    chance = Chance.of(found)
    lines = comparisons(found, chance, ("barlow", "baseline"))
    for recipe in ("dim-4096", "batch-4096", "dim-4096-batch-4096"):
        wanted = ("baseline", recipe, "barlow", f"barlow-{recipe}")
        ends = [found.get(name) for name in wanted]
        if all(ends):
            lines.append(reaction(*ends, chance))
        else:
            pairs = ((recipe, "baseline"), (f"barlow-{recipe}", "barlow"))
            lines += comparisons(found, chance, *pairs)
    return lines


def reaction(
    first: RunRecord, second: RunRecord, third: RunRecord, fourth: RunRecord, chance: Chance
) -> str:
    """From the first to the second run, and from the third to the fourth: alike or not?

    No verdict where one of the methods changed its learning rate, too.
    """
    words = _(REACTION).format(
        change=settings_changed(first, second),
        updates=updates_of(first, second),
        a=moves(first, second),
        b=moves(third, fourth),
    )
    rates = [record.bundle.config["training"]["learning_rate"] for record in (third, fourth)]
    if rates[0] != rates[1]:
        return f"{words} " + _(OTHER_RATE).format(new=rate(rates[1]), old=rate(rates[0]))
    signs = [
        sign(
            (end(second, measure) - end(first, measure))
            - (end(fourth, measure) - end(third, measure)),
            chance.margin(measure, first, second, third, fourth),
        )
        for measure in MEASURES
    ]
    if not any(signs):
        return f"{words} " + _(REACTIONS["alike"])
    if 0 in signs or signs[0] != signs[1]:
        return f"{words} " + _(REACTIONS["unclear"])
    return f"{words} " + _(REACTIONS["differ"])


def end(record: RunRecord, measure: Measure) -> float:
    return at_the_end(record, measure)[0]


def moves(before: RunRecord, after: RunRecord) -> str:
    """By how many points kNN accuracy and linear probe change from one run to another."""
    knn, probe = (points(end(after, measure) - end(before, measure)) for measure in MEASURES)
    return _(MOVES).format(knn=knn, probe=probe)


def rate(value: float) -> str:
    """A learning rate: four digits after the point, no more than it has."""
    return number(value, len(f"{value:.6f}".rstrip("0").split(".")[1]))


# ---------------------------------------------------------------- 3.6


def heavy_views(found: Runs) -> list[str]:
    """Where views are made at all, what heavier ones do, and what helps."""
    here = [found[r] for r in ("baseline", "heavy", "heavy-dssl") if r in found]
    lines = [views_in_words(here[-1])] if here else []
    if {"baseline", "heavy"} <= found.keys():
        lines.append(unstable(found["baseline"], found["heavy"], here))
    pairs = (("heavy", "baseline"), ("heavy-dssl", "heavy"), ("heavy-dssl", "baseline"))
    lines += comparisons(found, Chance.of(found), *pairs)
    if {"heavy", "heavy-dssl"} <= found.keys():
        lines.append(
            _(DSSL_PASSES).format(dssl=sum(PASSES["dssl"]), simsiam=sum(PASSES["simsiam"]))
        )
    return lines


def unstable(baseline: RunRecord, heavy: RunRecord, here: list[RunRecord]) -> str:
    """Whether the accuracy by epoch falls further under heavy augmentation than without, beyond chance."""
    falls = [largest_fall(baseline), largest_fall(heavy)]
    # Each fall is a difference of two shares, so four of them have their error in what is compared.
    shares = [
        (share, record.queries)
        for record in (heavy, baseline)
        for share in around_largest_fall(record)
    ]
    epochs = [
        before_largest_fall(record) + after for record in (heavy, baseline) for after in (0, 1)
    ]
    paired = by_picture("knn_by_epoch", [heavy, heavy, baseline, baseline], epochs)
    by_chance = margin(shares, None, paired)
    words = _(UNSTABLE) if falls[1] - falls[0] > by_chance else _(NO_INSTABILITY)
    many = _(
        "The largest of {epochs} changes is large by chance alone, so a single large fall is no proof."
    ).format(epochs=len(heavy.epochs) - 1)
    return f"{words} {many} " + _(LARGEST_FALL).format(
        runs=names_with(here, lambda record: number(100 * largest_fall(record), 1))
    )


def views_in_words(record: RunRecord) -> str:
    """The augmentation of a run, from its configuration."""
    training = record.bundle.config["training"]
    standard, harder = training["views"], training["harder"]
    words = _(VIEWS).format(
        **{name: percent(standard[name]) for name in ("crop", "flip", "jitter", "grey")}
    )
    if not training["heavy"]:
        return words
    return f"{words} " + _(HARDER_VIEWS).format(
        rotation=number(harder["rotation"], 0),
        **{name: percent(harder[name]) for name in ("solarize", "jigsaw", "cutout")},
    )


# ---------------------------------------------------------------- 3.7


def kept_from_collapse(found: Runs) -> list[str]:
    """Each term that keeps a method from collapsing, with the run that lacks it."""
    lines = [
        *without(found, "vicreg-no-variance", _("VICReg's variance term v"), "vicreg"),
        *without(found, "vicreg-no-covariance", _("VICReg's covariance term c"), "vicreg"),
        *without(found, "barlow-no-redundancy", _("Barlow Twins' decorrelation (λ = 0)"), "barlow"),
    ]
    names_of = ("vicreg", "vicreg-no-variance", "vicreg-no-covariance")
    here = [found[r] for r in names_of if r in found]
    if here:
        lines.append(
            _(VARIANCE_AT_BOTH_ENDS).format(
                runs=names_with(
                    here, lambda r: from_to(r, lambda e: value_at(r, "test_variance_z", e))
                )
            )
        )
        lines.append(
            _(SPREAD_AT_BOTH_ENDS).format(
                runs=names_with(here, lambda r: from_to(r, lambda e: spread_of(r, e)))
            )
        )
    return lines


# ---------------------------------------------------------------- 3.8

PASSES = {
    "simsiam": (2, 0),
    "dssl": (4, 0),
    "byol": (2, 2),
    "barlow_twins": (2, 0),
    "vicreg": (2, 0),
}
"""Of one update: how many batches pass through an encoder that learns, and through one that does not."""


def byol_or_simsiam(found: Runs) -> list[str]:
    """What the momentum adds, and what it costs."""
    lines = comparisons(
        found,
        Chance.of(found),
        ("byol", "baseline"),
        ("byol-no-momentum", "baseline"),
        ("byol", "byol-no-momentum"),
        ("byol-no-momentum", "no-stop-gradient"),
    )
    if {"byol-no-momentum", "baseline"} <= found.keys():
        lines.append(the_same_steps(found["byol-no-momentum"], found["baseline"]))
    if "byol" in found:
        lines.append(memory(found["byol"]))
    learns, follows = PASSES["byol"]
    lines.append(
        _(TARGET_COSTS).format(
            simsiam=sum(PASSES["simsiam"]), byol=learns + follows, follows=follows
        )
    )
    return lines + without(found, "byol-no-predictor", _("BYOL's predictor"), "byol")


def the_same_steps(byol: RunRecord, simsiam: RunRecord) -> str:
    """How far BYOL with momentum 0 strays from SimSiam."""
    first, second = (record.figures["test_knn_accuracy"] for record in (byol, simsiam))
    return _(SAME_STEPS).format(
        points=number(100 * float(np.abs(first - second).max()), 1),
        byol=rate(peak_rate(byol)),
        simsiam=rate(peak_rate(simsiam)),
    )


def memory(byol: RunRecord) -> str:
    """Over how many updates the target is an average."""
    momentum = byol.bundle.config["architecture"]["momentum"]
    return _(MEMORY).format(
        m=number(momentum, 2),
        memory=number(1 / (1 - momentum), 0),
        all=number(byol.updates[-1], 0),
    )


# ---------------------------------------------------------------- 3.9


def asymmetry(found: Runs) -> list[str]:
    """SimSiam without what makes its branches differ."""
    parts = {
        "no-predictor": _("the predictor"),
        "fixed-predictor": _("a predictor that learns"),
        "no-stop-gradient": _("the stop-gradient"),
        "neither": _("predictor and stop-gradient"),
    }
    lines = []
    for recipe, part in parts.items():
        lines += without(found, recipe, part, "baseline" if recipe == "no-predictor" else "")
    if "baseline" in found:
        lines.append(_(KEEPS_ITS_RATE).format(rate=rate(peak_rate(found["baseline"]))))
    return lines


# ---------------------------------------------------------------- all of them


@dataclass(frozen=True)
class Question:
    """One of the assignment's questions: what a visitor may answer, the runs that answer it, and how they
    are read. ``right``: of the options, where the answer does not hang on the runs. ``knn``: of which kNN
    accuracy the answer speaks.
    """

    label: str
    words: str
    options: Mapping[str, str]
    recipes: tuple[str, ...]
    answer: Callable[[Runs], list[str]]
    why: str
    right: Collection[str] = ()
    knn: Knn = "knn_accuracy"


QUESTIONS = {
    "5c": Question(
        N_("5 c · Barlow Twins"),
        N_(
            "Give the projector 4,096 outputs instead of 2,048, and train in larger batches. "
            "**Would Barlow Twins react as SimSiam does?**"
        ),
        {
            "alike": N_("yes, alike"),
            "dim": N_("no, d does more for Barlow Twins"),
            "batch": N_("no, the batch does more for Barlow Twins"),
        },
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
            "SimSiam's loss looks at one picture at a time: it compares two directions in whatever space "
            "they lie, and nothing in it asks the d channels of z to differ. The batch matters through "
            "batch normalisation, through the number of updates, and through the learning rate that "
            "grows with it. The loss of Barlow Twins is a sum over "
            "d × d correlations, each estimated from one batch. More channels are more "
            "decorrelated directions to fill: in its authors' runs it keeps improving well beyond "
            "d = 2,048, where other methods do not (figure 4 of the paper). A larger batch "
            "estimates C better, yet small batches do (figure 2). From the losses one would therefore "
            "expect: **no, d does more for Barlow Twins**."
        ),
    ),
    "6": Question(
        N_("6 · Heavy augmentation"),
        N_(
            "Heavy augmentation is said to make SimSiam unstable. **Where does SimSiam augment at all, "
            "and what could be done about it?**"
        ),
        {
            "weaker": N_("one view stays as it was: only the other is augmented"),
            "directed": N_("the harder view learns from the easier one, never the other way"),
            "features": N_("augment z in place of the pictures"),
        },
        ("baseline", "heavy", "heavy-dssl"),
        heavy_views,
        N_(
            "A view that was turned, shuffled and cut out has lost much of its picture. The "
            "symmetric loss draws both views together, so it also draws the good view towards "
            "what is left in the bad one. DSSL gives the pair a direction: the harder view learns "
            "from the standard view that it was made from, whose gradient is stopped; among "
            "standard views the loss stays symmetric."
        ),
        {"directed"},
    ),
    "7": Question(
        N_("7 · Avoiding collapse"),
        N_(
            "Both branches could ignore their input and answer with one constant vector. **What "
            "keeps them from it?** VICReg says so in its loss: which term would you not take away?"
        ),
        {
            "invariance": N_("s: both views have the same z"),
            "variance": N_("v: every channel varies over the batch"),
            "covariance": N_("c: no two channels vary together"),
        },
        ("vicreg", "vicreg-no-variance", "vicreg-no-covariance", "barlow", "barlow-no-redundancy"),
        kept_from_collapse,
        N_(
            "Ways out of collapse: negative examples, which push other pictures away (contrastive "
            "methods); asymmetry (stop-gradient with a predictor: SimSiam; a momentum target with a "
            "predictor: BYOL); statistics of the batch (Barlow Twins, VICReg). VICReg has three terms. "
            "**Invariance** s: both views have the same z. **Variance** v: every channel has a "
            "standard deviation of 1 at least. **Covariance** c: no two channels vary together. "
            "Without v a constant z makes the two others 0. Without c the loss would allow all channels "
            "to say the same: a collapse to one direction."
        ),
        {"variance"},
        "knn_by_epoch",
    ),
    "8": Question(
        N_("8 · BYOL and SimSiam"),
        N_(
            "BYOL's target is a moving average of the network, SimSiam's is the network itself "
            "with its gradient stopped. **Is it the momentum that prevents collapse?**"
        ),
        {
            "momentum": N_("yes, the momentum"),
            "stop": N_("no: the target gets no gradient in either"),
            "both": N_("one needs both"),
        },
        ("baseline", "byol", "byol-no-momentum", "no-stop-gradient"),
        byol_or_simsiam,
        N_(
            "Both have a predictor, both stop the gradient at the target, and both losses are the "
            "same cosine on another scale. They differ in the target: BYOL keeps a second set of "
            "weights that follows slowly, so that the target is steadier than any single step of "
            "the network; SimSiam shares its weights. What both have is the stopped gradient and the "
            "predictor; momentum makes targets steadier. BYOL's loss is 4 + 4 times SimSiam's: at a "
            "quarter of the learning rate and four times the weight decay, momentum 0 takes exactly "
            "SimSiam's steps."
        ),
        {"stop"},
    ),
    "9": Question(
        N_("9 · Asymmetry"),
        N_(
            "SimSiam treats its two views differently: one goes through a predictor, the other "
            "gets no gradient. **What is that asymmetry good for?**"
        ),
        {
            "goal": N_("one branch is a fixed goal while the other one moves"),
            "cheap": N_("it saves half of the work"),
            "views": N_("it makes the two views more different"),
        },
        ("baseline", "no-predictor", "fixed-predictor", "no-stop-gradient", "neither"),
        asymmetry,
        N_(
            "Symmetric branches can meet anywhere, and the nearest place to meet is a constant. "
            "With the gradient stopped on one side, one branch moves and the other one is a fixed "
            "goal for that step: the two parts take turns, as in k-means. The predictor makes the "
            "goal one that can be reached: the mean over all views of a picture. Without predictor "
            "p is z, and since both orders of the views count, stopping the gradient **halves it "
            "and leaves its direction**: the symmetric loss is back. A predictor that cannot "
            "learn changes z at random: undoing that teaches nothing about the pictures. The gain: no "
            "negative examples, no large batches, no second network."
        ),
        {"goal"},
        "knn_by_epoch",
    ),
}


def missing(found: Runs, question: Question) -> str:
    """The runs of a question that this set does not have, by name."""
    return recipe_names([recipe for recipe in question.recipes if recipe not in found])
