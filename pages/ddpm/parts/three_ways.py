"""One shot, many steps and the VAE: three ways to restore the same picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from core.pictures.images import Pictures
from pages.browser import film
from pages.browser.timeline import timeline
from pages.ddpm.parts.restored import SweepResult
from pages.shared import controls, figures, library, loaders, shape
from pages.shared.figures import Column, digits
from pages.shared.text import _, plain_errors


@shape.fragment
def show(found: SweepResult) -> None:
    """One look, step by step, and the VAE, on the same picture: runs again by itself."""
    with plain_errors():
        st.subheader(_("One shot, many steps, and the VAE"), anchor=False)
        index = 0
        if len(found.picked) > 1:
            index = controls.whole(_("Picture"), 1, len(found.picked), 1, "three_which") - 1
        levels = [int(t) for t in found.t]
        t = timeline("t′", levels, "three_t", default=levels[len(levels) // 2])
        place = levels.index(t)
        original = found.picked[index].picture
        back = found.back
        frames = [back.noised[index, :, 0], back.glance[index, :, 0], back.now[index, :, 0]]
        noisy, glance, steps = film.several(np.stack(frames))
        ways: list[tuple[str, Pictures, film.Source]] = [
            (_("one shot"), back.glance[index, place, 0], glance),
            (_("many steps"), back.now[index, place, 0], steps),
        ]
        vaes = [loaders.vae(entry.name) for entry in library.available("vae")[:1]]
        for explorer in vaes:
            decoded = explorer.decode(loaders.posterior_mean(explorer, original)[None])[0]
            ways.append((_("VAE"), decoded, film.still(decoded)))
        cells = [
            film.Cell(film.still(original), _("original"), _("The original picture")),
            film.Cell(noisy, f"xₜ, t′ = {film.STOP}", _("The picture with noise of level {t}")),
            *(
                film.Cell(source, title, _("Restored: {way}").format(way=title))
                for title, _pixels, source in ways
            ),
        ]
        film.show("three_film", "three_t", [film.Row(cells, widest=figures.WIDE)])
        also = [explorer.bundle for explorer in vaes]
        stack = np.stack([pixels for _title, pixels, _source in ways])[None, :, None]
        compared = found.judge.compare(original[None], stack)
        rows = [
            {
                "restored_by": title,
                "psnr_db": float(compared.scores["psnr"][0, i, 0]),
                "ssim": float(compared.scores["ssim"][0, i, 0]),
                "distance_in_features": float(compared.scores["features"][0, i, 0]),
                "judge_sees": found.judge.class_names[compared.after.digit[0, i, 0]],
                "p": float(compared.after.confidence[0, i, 0]),
            }
            for i, (title, *_rest) in enumerate(ways)
        ]
        figures.table(
            rows,
            [
                Column("restored_by", _("restored by")),
                Column("psnr_db", "PSNR (dB)", digits(1)),
                Column("ssim", "SSIM", digits(2)),
                Column("distance_in_features", _("distance in features"), digits(2)),
                Column("judge_sees", _("read as")),
                Column("p", "p", digits(2)),
            ],
            "three_ways",
        )
        figures.about(
            replace(found.provenance(index), also=also),
            "three_ways",
            png=lambda: figures.grid(
                np.stack([original, back.noised[index, place, 0], *stack[0, :, 0]]), 2 + len(ways)
            ),
            rows=lambda: rows,
        )
        st.markdown(
            _(
                "One shot gives the **mean** of all pictures that x_t could have been: the best "
                "guess by squared error, and a blurred one. Many steps give **one** of them: "
                "sharp, and more often wrong. The VAE is given the clean picture, not x_t, and "
                "squeezes it through z: it loses detail at every t′ alike."
            )
        )
