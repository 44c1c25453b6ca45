"""Latent profiles: what the code z knows of a class, as a bar chart a class and by what readers find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.bundles.bundle import Bundle
from core.pictures.data import CROPS
from core.pictures.images import Pictures
from core.vae.explorer import VAEExplorer
from core.vae.gaussian import DiagonalGaussianDistribution
from core.vae.latent_profiles import ClassProfiles
from core.vae.latents import ACTIVE_VARIANCE, active_units
from core.vae.readouts import products, read, vote_of_neighbours
from pages.browser import film
from pages.browser.timeline import timeline
from pages.shared import carried, controls, data_sets, figures, library, loaders, shape
from pages.shared.figures import Provenance
from pages.shared.text import (
    N_,
    _,
    coloured,
    formula,
    head,
    mechanism,
    number,
    percent,
    plain_errors,
)
from pages.vae.parts import generated
from pages.vae.parts.class_charts import (
    ClassChartData,
    all_classes,
    class_difference,
    heat_map,
    kl_chart,
    one_class,
)
from pages.vae.parts.readers import most_common, what_can_be_read

ORDERS = {
    "between": N_("Variance between classes"),
    "share": N_("Share between classes"),
    "kl": N_("KL"),
    "number": N_("Number"),
}
WHISKERS = {"error": N_("Error of the mean"), "spread": N_("Spread over the pictures")}
FIGURES = {
    "all": N_("All classes"),
    "map": N_("Map of δ"),
    "two": N_("Two classes"),
    "cost": N_("Cost of each unit"),
}
PICTURES = N_("{count} pictures of the split {split}")
ABOVE = N_("On average class {c} lies {away} above the mean of all classes in z{unit}.")
BELOW = N_("On average class {c} lies {away} below the mean of all classes in z{unit}.")
SAMPLES = (100, 300, 1000, 3000, 10000, 30000)
LONGEST = "longest"
TIMES = tuple(range(21))
PEAKS_KEPT = 64


# ---------------------------------------------------------------- what the figures are made of


def order_of(explorer: VAEExplorer, shown: ClassProfiles, order: str) -> np.ndarray:
    if order in ("between", "share"):
        by = shown.between_variance if order == "between" else shown.eta_squared
        return np.argsort(-by, kind="stable")
    return explorer.order if order == "kl" else np.arange(explorer.latent_dim)


@dataclass(frozen=True)
class Source:
    """Profiles and where they come from; ``crops`` of their pictures show the same digit."""

    shown: ClassProfiles
    live: bool
    seconds: float | None
    words: str
    crops: int


def source_of_profiles(explorer: VAEExplorer) -> Source:
    """Stored profiles over all training pictures, or live ones over as many as one chooses."""
    settings = explorer.bundle.config["data"]
    total = int(explorer.profiles.count.sum())
    stored = Source(
        explorer.profiles,
        live=False,
        seconds=None,
        words=_("all {count} training pictures").format(count=number(total, 0)),
        crops=CROPS.get((settings["name"], settings["split"]), 1),
    )
    candidates = dict.fromkeys((settings["split"], "train"))
    split = next((c for c in candidates if data_sets.at_hand(settings["name"], c)), None)
    if split is None:
        words = _("Download training pictures to choose how many are used ({megabytes} MB)")
        data_sets.offer(settings["name"], "train", words, "profiles_download")
        return stored
    with plain_errors():
        most = loaders.picture_count(settings["name"], split)
        options = {"stored": N_("all (stored)")} | controls.same(
            [*(n for n in SAMPLES if n < most), most]
        )
        chosen = controls.option(
            _("Training pictures used"),
            options,
            "profiles_pictures",
            help=_("With few pictures the profile is noisy. Watch which peaks stay."),
        )
        if chosen != "stored":
            count = int(chosen)
            found = loaders.profiles(explorer.bundle.name, settings["name"], split, count)
            words = _(PICTURES).format(count=number(count, 0), split=split)
            crops = CROPS.get((settings["name"], split), 1)
            return Source(found.value, True, found.seconds, words, crops)
    return stored


# ---------------------------------------------------------------- the first figure


def settings(explorer: VAEExplorer) -> tuple[ClassChartData, str]:
    """What all figures show, and the whiskers of the first, as chosen behind one button."""
    with controls.popover(_("Settings")):
        whiskers = controls.choice(_("Whiskers"), WHISKERS, "profiles_whiskers")
        order = controls.choice(_("Order of the units"), ORDERS, "profiles_order")
        threshold = controls.real(
            _("Call it a peak when |δ| ≥"),
            0.02,
            1.0,
            0.1,
            "profiles_peak",
            step=0.02,
            help=_(
                "δ: how far the class mean lies from the mean of all classes, in standard "
                "deviations inside a class. A peak also lies two standard errors away at least."
            ),
        )
        source = source_of_profiles(explorer)
    provenance = Provenance(
        explorer.bundle,
        source.live,
        source.seconds,
        {_("over"): source.words, _("peaks"): f"|δ| ≥ {number(threshold, 2)}"},
    )
    profiled = ClassChartData(
        explorer,
        source.shown,
        order_of(explorer, source.shown, order),
        source.shown.peaks(threshold, source.crops),
        source.crops,
        provenance,
    )
    return profiled, whiskers


@shape.fragment
def profiles(name: str) -> None:
    """All charts: the part that runs again when a control of the page changes."""
    with plain_errors():
        explorer = loaders.vae(name)
        left, right = st.columns([3, 2], gap="medium")
        with left:
            classes = controls.same(explorer.class_names)
            label = controls.choice(_("Class"), classes, "profiles_class")
            figure = st.container()
            profiled, whiskers = settings(explorer)
            c = profiled.classes.index(label)
        with right:
            unit = unit_of(profiled, c)
            one_peak(profiled, c, unit)
        with figure:
            class_by_itself(profiled, c, whiskers, unit)
        what_can_be_read(explorer.bundle, most_common(explorer), len(profiled.classes))
        how_it_works()
        further(profiled)


def class_by_itself(profiled: ClassChartData, c: int, whiskers: str, unit: int) -> None:
    """One class: how far its mean lies from that of all, which units are peaks, and which one is chosen."""
    shown, units, peaks = profiled.shown, profiled.units, profiled.peaks
    name = profiled.classes[c]
    length = shown.std if whiskers == "spread" else shown.error(profiled.crops)
    figures.chart(
        one_class(profiled, c, length, unit),
        "profiles_one",
        _("Mean of class {c} less that of all classes, by unit, peaks in colour").format(c=name),
        profiled.provenance,
        profiled.rows,
        height=330,
        picked=lambda index: st.session_state.update(profiles_unit=str(units[index] + 1)),
    )
    found = [f"z{u + 1} ({number(float(shown.deviation[c, u]), 2)})" for u in units if peaks[c, u]]
    st.markdown(
        _("Peaks of class {c}, with δ: {list}").format(c=name, list=", ".join(found))
        if found
        else _("No unit of class {c} is a peak by this rule.").format(c=name)
    )


# ---------------------------------------------------------------- one peak, decoded


def unit_of(profiled: ClassChartData, c: int) -> int:
    """The unit that a click on a bar or the list chose, else that of the longest bar."""
    title = _("What does moving a unit by its bar do to a picture?")
    st.markdown(f"**{title}**")
    units = {LONGEST: N_("the longest bar")} | {str(u + 1): f"z{u + 1}" for u in profiled.units}
    chosen = controls.option(_("Unit: click a bar, or choose one"), units, "profiles_unit")
    if chosen != LONGEST:
        return int(chosen) - 1
    return int(np.argmax(np.abs(np.nan_to_num(profiled.shown.distance[c]))))


@dataclass(frozen=True)
class Departure:
    """The picture (32, 32, 3) whose unit is moved: the visitor's, of ``words``, or a generated one, whose
    ``maker`` is the bundle that keeps it.
    """

    picture: Pictures
    words: str
    maker: Bundle | None = None

    @property
    def title(self) -> str:
        return _("your picture") if self.maker is None else _("a generated picture")

    def notice(self) -> str:
        """That the picture is the visitor's, and that a link has none of it; nothing of a generated one."""
        if self.maker is not None:
            return ""
        return _(
            "This starts from **your picture**, {words}: all other units keep the values that the encoder "
            "gives it. Whoever opens a link to this page sees a generated digit instead."
        ).format(words=self.words)


def departure(explorer: VAEExplorer, label: str) -> Departure:
    """The picture of the visit, if there is one, else a generated digit of the class."""
    chosen = carried.of_the_visit(explorer.bundle.config["data"]["name"])
    if chosen is not None:
        return Departure(chosen.picture, chosen.words)
    picture, maker = generated.picture_of(label)
    return Departure(picture, _("a generated picture"), maker)


def one_peak(profiled: ClassChartData, c: int, unit: int) -> None:
    """What a bar does to a picture: one unit moved by the bar, and by many times it."""
    explorer, label = profiled.explorer, profiled.classes[c]
    away = np.nan_to_num(profiled.shown.distance[c])
    times = timeline(_("How many times the bar"), TIMES, "profiles_times", default=10)
    start = departure(explorer, label)
    picture, made_by = start.picture, start.maker or explorer.bundle
    z = loaders.posterior_mean(explorer, picture)
    values = z[unit] + away[unit] * np.array(TIMES)
    decoded = library.timed_answer(
        "profiles_peaks",
        PEAKS_KEPT,
        (explorer.bundle.digest, z.tobytes(), unit, values.tobytes()),
        lambda: explorer.traverse(z, unit, values),
    ).value
    film.show(
        "profiles_film",
        "profiles_times",
        [
            film.Row(
                [
                    film.Cell(film.still(picture), start.title, _("The picture")),
                    film.Cell(film.still(decoded[0]), _("decoded"), _("The picture, decoded")),
                    film.Cell(
                        film.levels(decoded),
                        _("z{unit} moved by {times} bars").format(unit=unit + 1, times=film.STOP),
                        _("The picture with z{unit} moved by {times} bars").format(
                            unit=unit + 1, times=film.STOP
                        ),
                    ),
                ],
                widest=figures.WIDE,
            )
        ],
    )
    figures.about(
        Provenance(
            explorer.bundle,
            True,
            None,
            {
                _("class"): label,
                _("unit"): unit + 1,
                _("bars"): times,
                _("picture"): start.words,
            },
            also=[made_by] if made_by is not explorer.bundle else [],
        ),
        "profiles_peak_decoded",
        png=lambda: figures.grid(decoded, 7),
        rows=lambda: [
            {"times": n, "unit": unit + 1, "value": float(value)}
            for n, value in zip(TIMES, values, strict=True)
        ],
    )
    step = float(np.abs(decoded[1].astype(float) - decoded[0]).mean())
    lies = (_(ABOVE if away[unit] >= 0 else BELOW)).format(
        c=label, away=number(float(np.abs(away[unit])), 2), unit=unit + 1
    )
    moved = _(
        "Moved by that much, the picture changes by **{step} grey levels of 255** a pixel. What the unit "
        "stands for shows at many times the bar; it need not be the digit."
    ).format(step=number(step, 1))
    st.markdown(f"{lies} {moved}")
    if words := start.notice():
        st.markdown(words)


# ---------------------------------------------------------------- further figures


def further(profiled: ClassChartData) -> None:
    """The same means in other arrangements, one at a time."""
    st.subheader(_("All classes and all units"), anchor=False)
    shown = controls.choice(_("Figure"), FIGURES, "profiles_figure")
    if shown == "all":
        classes_on_one_scale(profiled)
    elif shown == "map":
        units_by_class(profiled)
    elif shown == "two":
        two_classes(profiled)
    else:
        cost_of_units(profiled.explorer, profiled.units)


def classes_on_one_scale(profiled: ClassChartData) -> None:
    """The mean latents of all classes."""
    alt = _("Mean of every class less that of all classes, on one scale")
    figures.chart(
        lambda: all_classes(profiled),
        "profiles_all",
        alt,
        profiled.provenance,
        profiled.rows,
        height=900,
        of=profiled.content,
    )
    said = _("The whiskers are one standard error of the mean.")
    if profiled.crops > 1:
        said += " " + _("{crops} crops of a digit count as one picture.").format(
            crops=profiled.crops
        )
    st.caption(said)


def units_by_class(profiled: ClassChartData) -> None:
    """Which unit speaks for which class."""
    shown, classes, units = profiled.shown, profiled.classes, profiled.units
    alt = _("Standardised deviation δ of every class and unit")
    figure = heat_map(shown, classes, units)
    figures.chart(figure, "profiles_heat", alt, profiled.provenance, profiled.rows, height=420)
    best = int(np.argmax(shown.eta_squared))
    st.markdown(
        _(
            "The unit that tells classes apart best is **z{unit}**: {share} of its variance lies "
            "between classes. The rest is variation between pictures of one class."
        ).format(unit=best + 1, share=percent(float(shown.eta_squared[best]), 1))
    )


def two_classes(profiled: ClassChartData) -> None:
    """The difference of two classes."""
    shown, classes, units = profiled.shown, profiled.classes, profiled.units
    left, right = st.columns(2)
    last = len(classes) - 1
    options = controls.same(classes)
    with left:
        first = controls.option(_("Class"), options, "profiles_a", default=classes[min(1, last)])
    with right:
        usual = classes[min(7, last)]
        second = controls.option(_("minus class"), options, "profiles_b", default=usual)
    a, b = classes.index(first), classes.index(second)
    alt = _("Mean latent of class {a} minus that of class {b}").format(a=first, b=second)
    figure = class_difference(shown, classes, a, b, units)
    figures.chart(
        figure,
        "profiles_difference",
        alt,
        profiled.provenance,
        lambda: [
            {
                "unit": u + 1,
                "difference": float(shown.mean[a, u] - shown.mean[b, u]),
                "std_inside_a_class": float(np.sqrt(shown.within_variance[u])),
            }
            for u in units
        ],
    )
    st.caption(_("The whiskers are one standard deviation inside a class."))


def cost_of_units(explorer: VAEExplorer, units: np.ndarray) -> None:
    """The KL of every unit."""
    tested = explorer.bundle.metrics["test"]
    over = _("{count} test pictures").format(count=number(tested["pictures"], 0))
    figures.chart(
        kl_chart(explorer, units),
        "profiles_kl",
        _("KL of every unit, in nats"),
        Provenance(explorer.bundle, live=False, settings={_("over"): over}),
        lambda: [
            {
                "unit": u + 1,
                "kl_nats": float(explorer.kl_per_unit[u]),
                "active": bool(explorer.active[u]),
            }
            for u in units
        ],
    )
    st.markdown(
        _(
            "**{active} of {all} units are active** (variance of E[z|x] above {threshold}); "
            "together they cost {kl} nats per picture, which is also the most they can tell about it."
        ).format(
            active=int(explorer.active.sum()),
            all=explorer.latent_dim,
            threshold=number(ACTIVE_VARIANCE, 2),
            kl=number(tested["kl"]),
        )
    )


def how_it_works() -> None:
    mechanism(
        _(
            "For every training picture the encoder gives a mean E[z|x]. A bar is the average "
            "of these over a class, less the average over all classes; its whisker is the error of "
            "the average, or the spread of the pictures. Digits of one class differ far more than "
            "classes do on average. A bar is marked as a **peak** by a rule that you can move: its "
            "distance from the mean of all classes, in standard deviations inside a class.\n\n"
            "The **linear** classifier is multinomial logistic regression: it weighs the units and "
            "adds them up, so it sees what class means differ by. Given all products zᵢzⱼ as well, it sees "
            "whether two units go together or against one another, however the picture is "
            "lit. The **neighbours** of a digit are the training pictures nearest to it in z; "
            "their most frequent class is their answer. No reader changes the encoder, which was "
            "trained without labels."
        )
    )


def main() -> None:
    head(
        _("Latent profiles"),
        _(
            "Average the encoder's output over every picture of a class to get that class's profile, "
            "and subtract the average over all classes. The bars are short. **Does z not know the "
            "digit, or do the means not show it?**"
        ),
    )
    with plain_errors():
        name = controls.bundle_name("vae", "profiles_bundle")
        profiles(name)
        z = coloured("z")
        formula(
            [
                rf"\delta_{{c,u}} = \frac{{\bar{{{z}}}_{{c,u}} - \bar{{{z}}}_{{\cdot,u}}}}{{s_u}},\qquad "
                r"s_u^2 = \tfrac1C\textstyle\sum_c s_{c,u}^2",
                rf"p(c \mid {z}) \propto \exp\Big(b_c + \textstyle\sum_i w_{{c,i}}\,{z}_i"
                rf" + \sum_{{i \le j}} v_{{c,ij}}\,{z}_i {z}_j\Big)",
                r"\mathrm{KL}_u = \tfrac12\big(\mu_u^2 + \sigma_u^2 - 1 - \log\sigma_u^2\big)",
            ],
            _("Active units: Burda, Grosse & Salakhutdinov 2016, section 5.2."),
            ClassProfiles.deviation.fget,
            ClassProfiles.peaks,
            ClassProfiles.eta_squared.fget,
            read,
            products,
            vote_of_neighbours,
            DiagonalGaussianDistribution.kl_per_unit,
            active_units,
        )
