"""Home: real denoising under the hand, three doors, and the assignment item by item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from core.bundles.bundle import Bundle
from pages import from_noise
from pages.shared import figures, library, site
from pages.shared.site import PageEntry
from pages.shared.text import N_, _, coloured, literal, percent, plain_errors
from pages.teach import numbers, overview, shelf
from pages.teach.attending import AS, LESSON
from pages.teach.lesson import Lesson

WHOLE_LABELS = """<style>
:is(.st-key-home_assignment, .st-key-home_lessons) [data-testid=stPageLink] a * { white-space: normal; }
</style>"""
"""Streamlit cuts the label of a link where it has no room, as on a phone."""
SAMPLES = 6
"""Pictures on a card."""


# ---------------------------------------------------------------- the models


@dataclass(frozen=True)
class Model:
    """A card: a family, one sentence, its first page; ``sheet`` of its samples, or else a formula."""

    family: str
    title: str
    words: str
    first: PageEntry
    how_well: Callable[[Bundle], str]
    sheet: str = ""
    latex: str = ""
    bundle: str = ""
    """What the name of the bundle ends in that stands for the family; the manifest's first otherwise."""


def by_neighbours(of: Bundle) -> str:
    """What became of a run of SimSiam, as its neighbours vote; empty where that was not measured.

    Both shares are by epoch, with one bank: the final accuracy has a larger one, which alone raises it.
    """
    try:
        after = float(of.history[-1]["test_knn_accuracy"])
        before = float(of.metrics["before"]["test_knn_accuracy"])
    except (IndexError, KeyError, TypeError, ValueError):
        return ""
    return _(
        "After {epochs} epochs the nearest neighbours name the right class for **{after}** of the test "
        "pictures; before training, for {before}."
    ).format(epochs=len(of.history), after=percent(after), before=percent(before))


MODELS = (
    Model(
        "vae",
        N_("Variational autoencoder"),
        N_("Squeezes a house number into a few dozen numbers and paints it again from them."),
        site.LATENT_SPACE,
        from_noise.sure_sentence,
        sheet="samples",
    ),
    Model(
        "ddpm",
        N_("Diffusion model"),
        N_("Learns to remove a little noise, and paints by doing so again and again."),
        site.ADDING_NOISE,
        from_noise.sure_sentence,
        sheet="final",
    ),
    Model(
        "simsiam",
        N_("SimSiam"),
        N_("Learns what two views of one picture share, without labels and without collapsing."),
        site.TWO_VIEWS,
        by_neighbours,
        latex=rf"\mathcal D\big(p_1,\ \mathrm{{stop}}({coloured('z', 'z_2')})\big)",
        bundle="baseline",
    ),
)


def bundle_of(model: Model) -> Bundle | None:
    """The bundle that stands for a family; None where there is none."""
    names = [entry.name for entry in library.available(model.family)]
    name = next((name for name in names if name.endswith(model.bundle)), None)
    return None if name is None else library.bundle(name)


def card(model: Model) -> None:
    st.subheader(_(model.title), anchor=False)
    st.markdown(_(model.words))
    with plain_errors():
        of = bundle_of(model)
        if model.latex:
            st.latex(model.latex)
        elif of is not None and of.progress(model.sheet):
            shown = library.sheet(of, model.sheet, max(of.progress(model.sheet)), SAMPLES)
            alt = _("The first {count} samples of this model").format(count=SAMPLES)
            figures.sheet(shown, f"home_{model.family}", columns=SAMPLES, alt=alt)
        if of is not None:
            st.markdown(model.how_well(of))
    st.page_link(model.first.page(), label=f"**{_(model.first.title)}**", icon=model.first.icon)


# ---------------------------------------------------------------- routes and lessons


@dataclass(frozen=True)
class Route:
    """Pages in order, and the question that they answer together."""

    title: str
    words: str
    pages: Sequence[PageEntry]


ROUTES = (
    Route(
        N_("A lecture of ten minutes"),
        N_("How does noise become a picture, and how much noise does a picture survive?"),
        (site.ADDING_NOISE, site.DENOISING, site.T_STAR),
    ),
    Route(
        N_("What a code remembers"),
        N_("Which of the numbers in z matter, and what do they know about the digit?"),
        (site.LATENT_SPACE, site.INTERPOLATION, site.LATENT_PROFILES, site.LIKELIHOOD),
    ),
    Route(
        N_("Learning without labels"),
        N_("Why does a network not answer the same to everything?"),
        (site.TWO_VIEWS, site.COLLAPSE_LIVE, site.COLLAPSE, site.NEIGHBOURS),
    ),
)


def route(shown: Route) -> None:
    st.markdown(f"**{_(shown.title)}**  \n{_(shown.words)}")
    for place, page in enumerate(shown.pages, start=1):
        title = _(page.title).replace("*", r"\*")
        st.page_link(page.page(), label=f"{place}\u2002{title}", icon=page.icon)


def lesson_card(name: str, lesson: Lesson) -> None:
    """A lesson: its title and minutes, and the two ways to take it."""
    minutes = _("{count} min").format(count=lesson.minutes)
    st.markdown(f"**{literal(numbers.title_of(lesson))}** · {minutes}")
    looks = (
        ("desk", _("At a desk"), ":material/school:"),
        ("stage", _("On a stage"), ":material/present_to_all:"),
    )
    with st.container(horizontal=True):
        for look, label, icon in looks:
            query = {LESSON: name, AS: look}
            st.page_link(site.HOME.page(), label=label, icon=icon, query_params=query)


# ---------------------------------------------------------------- the page


def doors(taught: Mapping[str, Lesson]) -> None:
    """What one can do here, as links to the parts of the page below."""
    offered = [
        ("explore", N_("Explore"), N_("three models, moved by hand")),
        *([("lessons", N_("Take a lesson"), N_("one question at a time"))] if taught else []),
        ("assignment", N_("Answer the assignment"), N_("every item, and the view that answers it")),
    ]
    for column, (anchor, title, words) in zip(st.columns(len(offered)), offered, strict=True):
        with column.container(border=True, height="stretch", key=f"home_door_{anchor}"):
            st.markdown(f"**[{_(title)}](#{anchor})**  \n{_(words)}")


def explore() -> None:
    st.header(_("Explore"), anchor="explore")
    for column, model in zip(st.columns(len(MODELS), gap="medium"), MODELS, strict=True):
        with column.container(border=True, height="stretch"):
            card(model)
    for column, shown in zip(st.columns(len(ROUTES), gap="large"), ROUTES, strict=True):
        with column:
            route(shown)


def taught_here(taught: Mapping[str, Lesson]) -> None:
    st.header(_("Take a lesson"), anchor="lessons")
    cards = overview.in_order(taught)
    for first in range(0, len(cards), 2):
        row = st.columns(2, gap="medium")
        for column, (name, lesson) in zip(row, cards[first : first + 2], strict=False):
            with column.container(border=True, height="stretch"):
                lesson_card(name, lesson)
    with st.container(key="home_lessons"):
        st.page_link(
            site.TEACH.page(),
            label=_("Teach with them: rooms, worksheets, guides, and lessons of your own"),
            icon=site.TEACH.icon,
        )


def assignment() -> None:
    st.header(_("The assignment, item by item"), anchor="assignment")
    st.markdown(
        _(
            "The app grew from a graduate assignment on representation learning. Each link below opens the "
            "view that answers its item."
        )
    )
    parts = st.container(key="home_assignment")
    for title, items in site.ASSIGNMENT.items():
        with parts, st.expander(_(title), expanded=True):
            for item in items:
                words, place = st.columns([5, 2], vertical_alignment="center")
                words.page_link(
                    item.page.page(),
                    label=_(item.words),
                    icon=item.page.icon,
                    query_params=item.address,
                )
                place.caption(f"{item.number} · {_(item.page.title)}".replace("*", r"\*"))


def main() -> None:
    st.title("Latent Atelier", anchor=False)
    st.markdown(
        _(
            "A workshop for people who learn and teach how generative and self-supervised models "
            "behave: **move one thing and see at once what changes**."
        )
    )
    with plain_errors():
        if library.visible_manifest().entries:
            from_noise.show()
        else:
            st.info(_("No bundle is here yet: `python -m train vae` makes one."))
    st.html(WHOLE_LABELS)
    taught = shelf.lessons().lessons
    doors(taught)
    explore()
    if taught:
        taught_here(taught)
    assignment()
