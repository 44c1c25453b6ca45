"""Home: the three models in one look, what is loaded, where to start, and a map of the assignment."""

from __future__ import annotations

import streamlit as st

from core.errors import AtelierError
from pages.shared import figures, library, site
from pages.shared.figures import Provenance
from pages.shared.text import N_, _, coloured, megabytes, plain_errors, sentence

MODELS = (
    (
        "vae",
        N_("Variational autoencoder"),
        N_("Squeezes a house number into a few dozen numbers and paints it again from them."),
        rf"{coloured('x')} \to {coloured('z')} \to {coloured('x_hat')}",
        site.LATENT_SPACE,
    ),
    (
        "ddpm",
        N_("Diffusion model"),
        N_("Learns to remove a little noise, and paints by doing so a thousand times."),
        rf"{coloured('eps', 'x_T')} \to {coloured('x_t')} \to x_{{t-1}} \to {coloured('x', 'x_0')}",
        site.ADDING_NOISE,
    ),
    (
        "simsiam",
        N_("SimSiam"),
        N_("Learns what two views of one picture share, without labels and without collapsing."),
        rf"\mathcal D\big(p_1,\ \mathrm{{stop}}({coloured('z', 'z_2')})\big)",
        site.TWO_VIEWS,
    ),
)
TASTE = 8


def models() -> None:
    for column, (family, title, words, way, first_page) in zip(
        st.columns(3, gap="medium"), MODELS, strict=True
    ):
        with column, st.container(border=True, height="stretch"):
            st.subheader(_(title), anchor=False)
            st.markdown(_(words))
            st.latex(way)
            entries = library.available(family)
            if not entries:
                st.caption(_("Not part of this version yet."))
                continue
            try:
                found = library.bundle(entries[0].name)
            except AtelierError as error:
                st.error(sentence(error), icon=":material/error:")
                continue
            st.caption(
                _("Loaded: {name}, {epochs} epochs, {size}, hashes verified").format(
                    name=found.name, epochs=len(found.history), size=megabytes(found.bytes)
                )
            )
            st.page_link(first_page.page(), label=_("Start here"), icon=first_page.icon)


def taste() -> None:
    """Something real to look at: generated pictures, and the way on."""
    if not library.visible_manifest().entries:
        st.info(_("No bundle is here yet: `python -m train vae` makes one."))
        return
    shown = library.gallery()
    alt = _("Gallery of pictures that a model generated")
    figures.sheet(shown.pictures, columns=TASTE, alt=alt)
    figures.about(
        Provenance(shown.of, live=False, settings=shown.settings),
        "home_samples",
        png=lambda: figures.grid(shown.pictures, TASTE),
    )


def starts() -> None:
    st.subheader(_("Where to start"), anchor=False)
    first = (
        (site.LATENT_SPACE, N_("Move one number and watch the picture follow.")),
        (site.LATENT_PROFILES, N_("Find the units that know about digits.")),
        (site.LIKELIHOOD, N_("See where a curved latent space beats a flat one.")),
        (site.ADDING_NOISE, N_("Watch a picture drown in noise, a little at a time.")),
        (site.DENOISING, N_("Let a network take the noise away again.")),
        (site.T_STAR, N_("Find how much noise a picture survives.")),
        (site.VAE_AND_DDPM, N_("Judge the samples of both models side by side.")),
        (site.INSIDE_THE_UNET, N_("Look at what the network holds while it does.")),
        (site.TWO_VIEWS, N_("Change a picture until two views of it no longer agree.")),
        (site.COLLAPSE, N_("See a network collapse while its loss gets better and better.")),
        (site.COLLAPSE_LIVE, N_("Take its stop-gradient away yourself, and watch.")),
    )
    for page, words in first:
        st.page_link(
            page.page(), label=f"**{_(page.title).replace('*', chr(92) + '*')}**", icon=page.icon
        )
        st.caption(_(words))


def assignment() -> None:
    st.subheader(_("The assignment, item by item"), anchor=False)
    st.markdown(
        _(
            "The app grew from a graduate assignment on representation learning: here is every "
            "numbered item of it, and the page that carries it."
        )
    )
    for title, items in site.ASSIGNMENT.items():
        with st.expander(_(title), expanded=any(item.page for item in items)):
            for item in items:
                words, link = st.columns([7, 4], vertical_alignment="center")
                words.markdown(f"**{item.number}**\u2002 {_(item.words)}")
                if item.page is None:
                    link.caption(_("not in this version yet"))
                else:
                    link.page_link(item.page.page(), label=_(item.page.title), icon=item.page.icon)


def main() -> None:
    st.title("Latent Atelier", anchor=False)
    st.markdown(
        _(
            "A workshop for people who learn and teach how generative and self-supervised models "
            "behave. **Move one thing, see at once what changes**, and hand out a link that "
            "restores what you saw."
        )
    )
    with plain_errors():
        models()
    left, right = st.columns([3, 2], gap="large")
    with left, plain_errors():
        taste()
    with right:
        starts()
    assignment()
