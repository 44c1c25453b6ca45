"""The frame around every page: page settings, language, navigation; or a lesson in their place."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import streamlit as st
from PIL import Image

ROOT = str(Path(__file__).parents[1])
if ROOT not in sys.path:  # Streamlit puts the folder of this script there, not the project's
    sys.path.insert(0, ROOT)

from core.errors import AtelierError  # noqa: E402
from pages.browser import arrival  # noqa: E402
from pages.shared import (  # noqa: E402
    carried,
    controls,
    figures,
    guests,
    library,
    links,
    once,
    pins,
    preferred,
    shape,
    share,
    site,
)
from pages.shared.text import _, sentence, turn_to  # noqa: E402
from pages.teach import attending, keeping, link_panel, on_paper, playing  # noqa: E402
from pages.teach.attending import Now  # noqa: E402

CLOSER_TO_THE_TOP = "<style>[data-testid=stMainBlockContainer] { padding-top: 3.75rem; }</style>"
"""A page begins right below Streamlit's header, so that its figure stands on the first screen."""

CLOSER_ON_A_PHONE = """<style>
@media (max-width: 640px) { [data-testid=stHorizontalBlock] { row-gap: 1rem; } }
</style>"""
"""Columns that stand below one another on a phone keep as much apart as Streamlit puts between two columns."""

NO_EMPTY_POPOVERS = "<style>[data-testid=stPopover]:has(button:disabled) { display: none; }</style>"
"""What a popover held may have been left out."""

SIDEBAR = 240
"""Pixels: the rest of a lecture hall's screen is the figure's."""

WHOLE_WORDS = """<style>
[data-testid=stSidebarContent] { padding-left: 0.6rem; padding-right: 0.6rem; scrollbar-gutter: auto; }
[data-testid=stSidebarNavLink] { height: auto; min-height: 1.75rem; }
[data-testid=stSidebarNavLink] p { display: block; line-height: 1.3; white-space: normal; }
</style>"""
"""The longest name of a page stands whole in so narrow a menu, in French on two lines where it needs them."""
SHAPE = ("keep", "figures", "hide")
"""Parameters of an address that leave out parts of its page."""
Page = Callable[[], None]


@once.in_a_run()
def show(navigate: Callable[[], Page]) -> None:
    """The frame and in it the page that ``navigate`` chooses, or the step of a lesson."""
    st.set_page_config(
        page_title="Latent Atelier",
        page_icon=Image.fromarray(library.icon()),
        layout="wide",
        initial_sidebar_state=SIDEBAR,
    )
    st.html(
        CLOSER_TO_THE_TOP
        + CLOSER_ON_A_PHONE
        + WHOLE_WORDS
        + figures.SHARP
        + figures.NUMBERS_ALONE
        + controls.WORDS_UNSEEN
    )
    shape.begin()
    pins.set_keeper(keeping.keep)
    problem = now = None
    try:
        now = attending.read()
    except AtelierError as error:
        problem = error
    if now is None:
        ordinary(navigate, problem)
    else:
        navigate()  # Streamlit wants to be told its pages by every run
        lesson(now)


def ordinary(navigate: Callable[[], Page], problem: AtelierError | None) -> None:
    """The page of the address, with the menu; ``problem``: why there is no lesson."""
    with st.sidebar:
        controls.choose_language()
        share.copy_link()
        panel = st.container()
        models = st.container()
        picture = st.container()
        keeping.mirror()
    attending.outside()
    page = navigate()
    arrival.show()
    around_a_page(models)
    if problem is not None:
        st.error(sentence(problem), icon=":material/error:")
    above = st.empty()
    run = run_of_address()
    with shape.apply(run):
        page()
    warn_of_other_weights(run)
    carried.show(picture)
    link_panel.show(panel, run)
    links.settle(above)
    keeping.settle()


def lesson(now: Now) -> None:
    """A step of a lesson in place of the page of the address."""
    body, foot = st.container(), st.container(key="lesson_foot")
    with foot:
        controls.choose_language()
        share.copy_link()
        keeping.mirror()
    around_a_page(foot)
    with body:
        if now.look in ("paper", "guide"):
            on_paper.show(now)
            return
        above = st.empty()
        playing.show(now)
        links.settle(above)
    keeping.settle()


def around_a_page(models: st.delta_generator.DeltaGenerator) -> None:
    """What the address says of bundles; at ``models`` how to go back on a choice of them."""
    links.begin()
    guests.from_link(library.own_commits)
    guests.keep_in_link()
    with suppress(AtelierError):  # pages say what is wrong with a manifest
        preferred.from_link()
        preferred.keep_in_link()
        preferred.show(models)


def run_of_address() -> shape.Run:
    """The run of a page that the address may have left some parts of."""
    wanted = shape.read(*(links.values(name) for name in SHAPE))
    if wanted != shape.WHOLE:
        st.button(
            _("Open the whole page"),
            key="frame_whole",
            icon=":material/open_in_full:",
            type="tertiary",
            on_click=lambda: links.write_all({name: [] for name in SHAPE}),
        )
    if wanted.keep is not None:
        st.html(NO_EMPTY_POPOVERS)
    if wanted.figures is None:
        return shape.Run(wanted)
    return shape.laid_out(wanted, st.container(), st.container(key="chosen_figures"))


def warn_of_other_weights(run: shape.Run) -> None:
    """Says so where a link was made with other weights than those of now."""
    made = shape.names_in(links.values("at"))
    if not run.made_of:  # nothing is drawn yet that says what it is made of
        return
    if any(not any(now.startswith(one) for now in run.made_of) for one in made if one):
        st.info(
            _("This link was made with other weights: the pictures may differ from its sender's."),
            icon=":material/model_training:",
        )


def navigate() -> Page:
    """The menu, and the page that the address names."""
    menu = {_(section): [page.page() for page in pages] for section, pages in site.SECTIONS.items()}
    menu[""].append(site.home_by_name())
    playing_now = bool(links.values(attending.LESSON))
    page = st.navigation(menu, expanded=True, position="hidden" if playing_now else "sidebar")
    turn_to(page.url_path, links.leads_to())
    links.note_arrival(page)
    return page.run


if __name__ == "__main__":  # as Streamlit runs it, for every visitor and every change
    show(navigate)
