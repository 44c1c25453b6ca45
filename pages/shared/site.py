"""Which pages there are, and which part of the assignment each one answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

import streamlit as st
from streamlit import net_util
from streamlit.navigation.page import StreamlitPage

from pages.shared.text import N_, _


@dataclass(frozen=True)
class PageEntry:
    """One page: the module whose ``main`` shows it, title, icon, last part of its address."""

    module: str
    title: str
    icon: str
    path: str

    @property
    def name(self) -> str:
        """The module's own name."""
        return self.module.rpartition(".")[2]

    def show(self) -> None:
        """The page itself; its module is imported by the first visitor who opens it."""
        import_module(self.module).main()

    def page(self) -> StreamlitPage:
        """The page for navigation and links, titled in the visitor's language."""
        home = self is HOME
        return st.Page(
            self.show,
            title=_(self.title),
            icon=self.icon,
            url_path="start" if home else self.path,
            default=home,
        )


def address(*, for_others: bool = False) -> str:
    """Where the app is, as the visitor's browser says it, with no slash at its end; empty where it does not.

    ``for_others``: where that leads to this machine alone, as others of its network find it.
    """
    url = st.context.url or ""
    scheme, found, rest = url.partition("://")
    under = (st.get_option("server.baseUrlPath") or "").strip("/")
    host = rest.partition("/")[0]
    name, colon, port = host.partition(":")
    if for_others and name in ("localhost", "127.0.0.1"):
        host = f"{net_util.get_internal_ip() or name}{colon}{port}"
    return "/".join(filter(None, (f"{scheme}://{host}", under))) if found else ""


def home_by_name() -> StreamlitPage:
    """Home under its own name: Streamlit serves the default page at the root of the address alone."""
    return st.Page(HOME.show, url_path=HOME.path, visibility="hidden")


HOME = PageEntry("pages.home", N_("Home"), ":material/home:", "home")
LATENT_SPACE = PageEntry(
    "pages.vae.latent_space", N_("Latent space"), ":material/tune:", "latent-space"
)
INTERPOLATION = PageEntry(
    "pages.vae.interpolation", N_("Interpolation"), ":material/timeline:", "interpolation"
)
LATENT_PROFILES = PageEntry(
    "pages.vae.latent_profiles", N_("Latent profiles"), ":material/bar_chart:", "latent-profiles"
)
LIKELIHOOD = PageEntry("pages.vae.likelihood", N_("Likelihood"), ":material/balance:", "likelihood")
VAE_TRAINING = PageEntry(
    "pages.vae.vae_training",
    N_("Samples and training"),
    ":material/model_training:",
    "vae-training",
)
ADDING_NOISE = PageEntry(
    "pages.ddpm.adding_noise", N_("Adding noise"), ":material/blur_on:", "adding-noise"
)
DENOISING = PageEntry(
    "pages.ddpm.denoising", N_("Denoising"), ":material/auto_fix_high:", "denoising"
)
DDPM_LENGTHS = PageEntry(
    "pages.ddpm.ddpm_lengths", "T = 500, 1000, 1500", ":material/straighten:", "ddpm-lengths"
)
INSIDE_THE_UNET = PageEntry(
    "pages.ddpm.inside_the_unet", N_("Inside the U-Net"), ":material/layers:", "inside-the-unet"
)
DDPM_TRAINING = PageEntry(
    "pages.ddpm.ddpm_training",
    N_("Diffusion training"),
    ":material/model_training:",
    "ddpm-training",
)
T_STAR = PageEntry("pages.ddpm.t_star", N_("Finding t*"), ":material/flaky:", "t-star")
UNDO_AN_ATTACK = PageEntry(
    "pages.ddpm.undo_an_attack", N_("Undo an attack"), ":material/shield:", "undo-an-attack"
)
VAE_AND_DDPM = PageEntry(
    "pages.ddpm.vae_and_ddpm", N_("VAE against DDPM"), ":material/compare:", "vae-and-ddpm"
)
TWO_VIEWS = PageEntry(
    "pages.simsiam.two_views", N_("Two views"), ":material/filter_2:", "two-views"
)
COLLAPSE = PageEntry("pages.simsiam.collapse", N_("Collapse"), ":material/compress:", "collapse")
COLLAPSE_LIVE = PageEntry(
    "pages.simsiam.collapse_live", N_("Collapse, live"), ":material/animation:", "collapse-live"
)
NEIGHBOURS = PageEntry("pages.simsiam.neighbours", N_("Neighbours"), ":material/hub:", "neighbours")
SIBLINGS = PageEntry("pages.simsiam.siblings", N_("Siblings"), ":material/diversity_3:", "siblings")
CHECKPOINTS = PageEntry(
    "pages.checkpoints", N_("Checkpoints"), ":material/database:", "checkpoints"
)

TEACH = PageEntry("pages.teach.overview", N_("Teach"), ":material/school:", "teach")
SHEET = PageEntry("pages.teach.my_sheet", N_("My sheet"), ":material/keep:", "sheet")
MARKING = PageEntry("pages.teach.mark_sheets", N_("Marking"), ":material/grading:", "marking")

SECTIONS: dict[str, tuple[PageEntry, ...]] = {
    "": (HOME,),
    "VAE": (LATENT_SPACE, INTERPOLATION, LATENT_PROFILES, LIKELIHOOD, VAE_TRAINING),
    N_("Diffusion"): (
        ADDING_NOISE,
        DENOISING,
        T_STAR,
        UNDO_AN_ATTACK,
        VAE_AND_DDPM,
        DDPM_LENGTHS,
        INSIDE_THE_UNET,
        DDPM_TRAINING,
    ),
    "SimSiam": (TWO_VIEWS, COLLAPSE, COLLAPSE_LIVE, NEIGHBOURS, SIBLINGS),
    N_("Classroom"): (TEACH, SHEET, MARKING),
    N_("Models"): (CHECKPOINTS,),
}
"""The navigation."""


TITLES = (
    N_("VAE on SVHN"),
    N_("DDPM on SVHN, T = 500"),
    N_("DDPM on SVHN, T = 1000"),
    N_("DDPM on SVHN, T = 1500"),
    N_("Digit classifier on SVHN"),
)
"""Titles of the embedded bundles, as the manifest has them."""


@dataclass(frozen=True)
class Item:
    """One numbered item of the assignment, in our words, and the view that answers it.

    ``words`` begin with the function or the question that the item is about. ``query``: the page's controls
    and what they stand at, as in an address. ``view``: the part of the page that its link leads to, the key of
    a figure or a control, or ``code_`` and the name of a function.
    """

    number: str
    words: str
    page: PageEntry
    view: str
    query: Mapping[str, str | Sequence[str]] = field(default_factory=dict)

    @property
    def address(self) -> dict[str, str | Sequence[str]]:
        """What its link says after the page."""
        return {**self.query, "to": self.view}


ASSIGNMENT: dict[str, tuple[Item, ...]] = {
    N_("Variational autoencoder on SVHN"): (
        Item(
            "1.1",
            N_("**sample**: draw z from a Gaussian by reparameterisation"),
            LATENT_SPACE,
            "code_sample",
        ),
        Item(
            "1.1",
            N_("**kl**: the KL divergence to the standard normal, unit by unit"),
            LATENT_PROFILES,
            "profiles_kl",
            {"profiles_figure": "cost"},
        ),
        Item(
            "1.1",
            N_("**nll**: the negative log-likelihood under a Gaussian"),
            LIKELIHOOD,
            "code_nll",
        ),
        Item(
            "1.1",
            N_("**mode**: the mode of a Gaussian, shown as a picture"),
            VAE_TRAINING,
            "code_mode",
        ),
        Item(
            "1.2",
            N_("**encode** and **decode**: from x to z and back"),
            LATENT_SPACE,
            "code_encode",
        ),
        Item(
            "1.2",
            N_("**sample**: the mode of p(x|z) for z from the prior"),
            VAE_TRAINING,
            "vae_samples",
            {"training_count": "64"},
        ),
        Item(
            "1.2",
            N_("**log_likelihood**: by importance sampling with K draws"),
            LIKELIHOOD,
            "likelihood_bars",
        ),
        Item("1.2", N_("**forward**: reconstruction, nll and KL"), LIKELIHOOD, "code_forward"),
        Item(
            "1.2",
            N_("**interpolate**: from one latent to another"),
            INTERPOLATION,
            "code_interpolate",
        ),
        Item("1.3 a", N_("**Wall-clock time** of training"), VAE_TRAINING, "training_clock"),
        Item(
            "1.3 b",
            N_("**Samples** every 5 epochs"),
            VAE_TRAINING,
            "training_epoch_film",
            {"training_epoch": "0"},
        ),
        Item(
            "1.3 c",
            N_("**Test reconstructions** every 5 epochs"),
            VAE_TRAINING,
            "training_epoch_film",
            {"training_epoch": "5"},
        ),
        Item(
            "1.3 d",
            N_("**Final samples**: do you see digits, are they blurred?"),
            VAE_TRAINING,
            "vae_samples",
        ),
        Item(
            "1.3 e",
            N_("**Latent profile** of every class, with its peaks"),
            LATENT_PROFILES,
            "profiles_one",
        ),
        Item(
            "1.3 f",
            N_("**Is the interpolation smooth?**"),
            INTERPOLATION,
            "interpolation_change",
            {"interpolation_n": "24"},
        ),
    ),
    N_("Diffusion model on SVHN"): (
        Item(
            "2.1",
            N_("**Coefficients** of the noise schedule"),
            ADDING_NOISE,
            "noise_coefficients",
            {"noise_coefficient": "betas"},
        ),
        Item(
            "2.1",
            N_("**q_sample**: noise a picture in one step"),
            ADDING_NOISE,
            "noise_film",
            {"noise_t": "300"},
        ),
        Item(
            "2.1",
            N_("**p_sample**: one step back"),
            DENOISING,
            "code_p_sample",
            {"denoise_count": "1"},
        ),
        Item("2.1", N_("**p_sample_loop**: from noise to a picture"), DENOISING, "denoise_film"),
        Item(
            "2.1",
            N_("**p_losses**: smooth L1 between true and predicted noise"),
            DDPM_TRAINING,
            "ddpm_example_film",
        ),
        Item("2.1", N_("**t_sample**: random time steps"), DDPM_TRAINING, "code_t_sample"),
        Item("2.2 a", N_("**Wall-clock time** of training"), DDPM_TRAINING, "ddpm_clock"),
        Item(
            "2.2 b",
            N_("**Samples** every 5 epochs"),
            DDPM_TRAINING,
            "ddpm_epoch_film",
            {"ddpm_epoch": "0"},
        ),
        Item(
            "2.2 c",
            N_("**Noise to t', denoise**: find t\\*, where the picture is lost"),
            T_STAR,
            "tstar_film",
        ),
        Item(
            "2.2 d", N_("**Final samples**, next to those of the VAE"), VAE_AND_DDPM, "samples_vae"
        ),
        Item(
            "2.3 a",
            N_("**T = 500, 1000, 1500**: time against quality"),
            DDPM_LENGTHS,
            "lengths_trade",
        ),
        Item("2.3 b", N_("**Features** inside the U-Net"), INSIDE_THE_UNET, "unet_probe"),
    ),
    N_("SimSiam on CIFAR-10"): (
        Item(
            "3.1",
            N_("**forward**, with the gradient stopped"),
            COLLAPSE_LIVE,
            "toy_slow",
            {"toy_view": "step"},
        ),
        Item(
            "3.2",
            N_("**Cosine similarity** of two views"),
            TWO_VIEWS,
            "views_cosine",
            {"views_cosine_p_angle": "50"},
        ),
        Item(
            "3.3",
            N_("**loss**: symmetric, from -1 to 1"),
            COLLAPSE,
            "code_loss",
        ),
        Item(
            "3.4",
            N_("**With and without stop-gradient**: loss and kNN accuracy by epoch"),
            COLLAPSE,
            "collapse_knn",
            {"collapse_runs": ("baseline", "no-stop-gradient")},
        ),
        Item(
            "3.5 a",
            N_("**Without the predictor**"),
            COLLAPSE,
            "collapse_knn",
            {"collapse_runs": ("baseline", "no-predictor")},
        ),
        Item(
            "3.5 b",
            N_("**Projector of 2048 or 4096**, batch of 4096"),
            COLLAPSE,
            "collapse_knn",
            {"collapse_runs": ("baseline", "dim-4096", "batch-4096", "dim-4096-batch-4096")},
        ),
        Item(
            "3.5 c",
            N_("**Barlow Twins**: would it behave alike?"),
            SIBLINGS,
            "siblings_question",
            {"siblings_question": "5c", "siblings_method": "barlow_twins"},
        ),
        Item(
            "3.6",
            N_("**Heavy augmentation**"),
            SIBLINGS,
            "siblings_question",
            {"siblings_question": "6", "siblings_method": "dssl"},
        ),
        Item(
            "3.7",
            N_("**How collapse is avoided**"),
            SIBLINGS,
            "siblings_question",
            {"siblings_question": "7", "siblings_method": "vicreg"},
        ),
        Item(
            "3.8",
            N_("**BYOL and SimSiam**: what differs"),
            SIBLINGS,
            "siblings_question",
            {"siblings_question": "8", "siblings_method": "byol"},
        ),
        Item(
            "3.9",
            N_("**Asymmetry**: what it is good for"),
            SIBLINGS,
            "siblings_question",
            {"siblings_question": "9"},
        ),
    ),
}
