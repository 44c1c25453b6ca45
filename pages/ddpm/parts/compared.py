"""The same noise by different samplers, next to one another: computed once somebody asks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.ddpm.explorer import DDPMExplorer, SamplerSettings
from core.pictures.images import Pictures
from pages.shared import controls, figures, links, loaders, shape
from pages.shared.figures import Column, Provenance, digits
from pages.shared.text import N_, _, number

WAYS: dict[str, tuple[str, SamplerSettings]] = {
    "ddim-50": ("DDIM 50", SamplerSettings("ddim", 50)),
    "ddim-20": ("DDIM 20", SamplerSettings("ddim", 20)),
    "ddim-10": ("DDIM 10", SamplerSettings("ddim", 10)),
    "ddim-5": ("DDIM 5", SamplerSettings("ddim", 5)),
    "dpm-20": ("DPM-Solver++ 20", SamplerSettings("dpm", 20)),
    "dpm-10": ("DPM-Solver++ 10", SamplerSettings("dpm", 10)),
    "dpm-5": ("DPM-Solver++ 5", SamplerSettings("dpm", 5)),
    "ddim-50-eta-1": ("DDIM 50, η = 1", SamplerSettings("ddim", 50, eta=1.0)),
    "ddpm": (N_("DDPM, every step"), SamplerSettings("ddpm", None)),
}
"""What can be compared; the first that is chosen is the one that the others are measured against."""
FIRST = ("ddim-50", "ddim-10", "dpm-10", "ddim-50-eta-1")
CHOOSE = N_("Choose at least one way.")
PICTURES = 6
KEY, WHICH, SEED = "denoising_compared", "compare_ways", "compare_seed"


def columns() -> list[Column]:
    off = _("RMS difference from the first row, grey levels")
    return [
        Column("way", _("way"), _),
        Column("network_calls", _("network calls"), int),
        Column("seconds", _("seconds"), digits(2)),
        Column("rms_difference_from_the_first", off, digits(1)),
    ]


# ---------------------------------------------------------------- what is computed


def is_requested() -> bool:
    """Whether a link, a step of a lesson or this visitor asks to see ways next to one another."""
    named = shape.run().shape.figures or ()
    ways = set(links.values(WHICH)) & set(WAYS)
    return KEY in named or bool(ways) or any(said.isdecimal() for said in links.values(SEED))


def calls_of(explorer: DDPMExplorer, code: str) -> int:
    """How often a way calls the network."""
    return len(WAYS[code][1].grid(explorer.T)) - 1


def ways_to_show(
    name: str, explorer: DDPMExplorer, chosen: Sequence[str], seeds: Sequence[int], *, wanted: bool
) -> list[str]:
    """Of the chosen ways those that are computed already, and, if they are wanted, the others; a button
    asks for what is missing. Every step is taken at a press alone.
    """

    def seconds(codes: Sequence[str]) -> str:
        calls = sum(calls_of(explorer, code) for code in codes) * len(seeds)
        return number(calls * loaders.seconds_a_picture(name), 0)

    missing = [code for code in chosen if not loaders.has_samples(name, WAYS[code][1], seeds)]
    quick = [code for code in missing if code != "ddpm"]
    if quick and not wanted:
        words = _("Draw the pictures of {count} samplers: about {seconds} s")
        controls.act(
            words.format(count=len(quick), seconds=seconds(quick)),
            "compare_ask",
            icon=":material/play_arrow:",
            # Once the address speaks of the ways, they are asked for.
            on_click=lambda: links.write(WHICH, chosen),
        )
        return [code for code in chosen if code not in missing]
    if "ddpm" in missing:
        words = _("Take every step: about {seconds} s").format(seconds=seconds(["ddpm"]))
        if not controls.act(words, "compare_go", icon=":material/play_arrow:"):
            return [code for code in chosen if code != "ddpm"]
    return list(chosen)


# ---------------------------------------------------------------- what is shown


def show(name: str, explorer: DDPMExplorer) -> None:
    """Ways from the same noise, a row each, and how far their pictures are from those of the first."""
    st.subheader(_("Same noise, different samplers"), anchor=False)
    st.markdown(
        _(
            "Every row starts from the **same noise**. Without fresh noise (η = 0) all samplers end "
            "at nearly the same pictures, once there are enough steps; with fresh noise they part."
        )
    )
    left, right = st.columns([5, 3], gap="large", vertical_alignment="bottom")
    with left:
        titles = {code: title for code, (title, _way) in WAYS.items()}
        chosen = controls.several(_("Samplers"), titles, WHICH, FIRST, said=is_requested())
    with right:
        seed = controls.seed(SEED)
    if not chosen:
        with shape.notice():
            st.info(_(CHOOSE))
        return
    seeds = [seed + index for index in range(PICTURES)]
    chosen = ways_to_show(name, explorer, chosen, seeds, wanted=is_requested())
    if not chosen:
        return
    rows, every = rows_of(name, explorer, chosen, seeds)
    if not shape.on_stage():
        figures.table(rows, columns(), KEY)
    settings = {_("seeds"): f"{seeds[0]} – {seeds[-1]}", _("clipped"): _("no")}
    figures.about(
        Provenance(explorer.bundle, True, settings=settings),
        KEY,
        # Made outside of the visit, which alone knows its guests.
        png=lambda: figures.grid(np.concatenate(every), PICTURES),
        rows=lambda: rows,
    )


def rows_of(
    name: str, explorer: DDPMExplorer, chosen: Sequence[str], seeds: Sequence[int]
) -> tuple[list[dict], list[Pictures]]:
    """Shows the pictures of every way; for each its line in the table, and its pictures."""
    rows: list[dict] = []
    every: list[Pictures] = []
    for code in chosen:
        title, way = WAYS[code]
        with st.spinner(_("Denoising …")):
            drawn = loaders.samples(name, way, seeds)
        every.append(drawn.value)
        off = np.sqrt(np.square(drawn.value.astype(float) - every[0]).mean())
        calls = calls_of(explorer, code)
        rows.append(
            {
                "way": title,
                "network_calls": calls,
                "seconds": drawn.seconds,
                "rms_difference_from_the_first": float(off),
            }
        )
        cost = _("{way}: {calls} network calls, {seconds} s").format(
            way=_(title), calls=number(calls, 0), seconds=number(drawn.seconds, 2)
        )
        alt = _("Pictures by {way}").format(way=_(title))
        with shape.figure(KEY):
            if shape.on_stage():  # so that four ways are seen at once
                words, pictures = st.columns([1, 2], vertical_alignment="center")
            else:
                words, pictures = st.container(), st.container()
            words.caption(cost)
            with pictures:
                figures.sheet(drawn.value, KEY, columns=PICTURES, alt=alt)
    return rows, every
