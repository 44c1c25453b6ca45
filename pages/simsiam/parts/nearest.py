"""The pictures of a bank that are nearest to a picture, one group a network: as pictures, or as classes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import streamlit as st

from core.pictures.images import Pictures, png_bytes
from core.simsiam.explorer import Vote
from core.simsiam.run_record import RunRecord
from pages.shared import library
from pages.shared.colours import CLASSES
from pages.shared.picking import PickedPicture
from pages.shared.text import N_, _, number
from pages.simsiam.parts import networks, runs

BEFORE_TRAINING = N_("Before training")
CLASSES_AMONG = N_("{count} classes among the {shown}")
OF_ITS_CLASS = N_("{count} of {shown} are of its class: {name}")

SHOWN, TEMPERATURE = 12, 0.1
VOTES_KEPT, FEATURES_KEPT = 128, 1024
STYLE = """<style>
.near { display: grid; gap: 0.8rem; grid-template-columns: 5rem repeat(var(--networks), minmax(0, 1fr)); }
.near .title { font-weight: 600; line-height: 1.25; margin-bottom: 0.35rem; min-height: 2.5em;
  display: flex; align-items: flex-end; }
.near .tiles { display: grid; gap: 0.3rem; grid-template-columns: repeat(4, minmax(0, 1fr)); }
.near figure { margin: 0; min-width: 0; text-align: center; }
.near img { border: 3px solid var(--of, transparent); display: block; image-rendering: pixelated;
  border-radius: 3px; width: 100%; }
.near .class { aspect-ratio: 1; border: 3px solid var(--of); border-radius: 3px; display: flex;
  align-items: center; justify-content: center; }
.near figcaption { font-size: 0.66rem; font-variant-numeric: tabular-nums; line-height: 1.2;
  margin: 0 -0.3rem; padding-top: 0.1rem; white-space: nowrap; }
.near .query figcaption { margin: 0; white-space: normal; }
.near .said { font-size: 0.85rem; margin-top: 0.4rem; }
@media (max-width: 640px) {
  .near { gap: 0.6rem; grid-template-columns: 1fr; }
  .near .query { align-items: center; display: flex; gap: 0.75rem; }
  .near .query figure { flex: 0 0 4.5rem; }
  .near .title { min-height: 0; }
  .near .tiles { gap: 0.2rem; grid-template-columns: repeat(6, minmax(0, 1fr)); }
  .near figcaption { font-size: 0.65rem; }
}
</style>"""


def before() -> str:
    """The name of the network before training: its column stands next to that of the same one after it."""
    return _(BEFORE_TRAINING)


@dataclass(frozen=True)
class Voter:
    """A network whose neighbours are asked; ``untrained``: it before training, with what it made of the bank.

    ``bank`` is None for a network after training, whose bundle holds its bank.
    """

    record: RunRecord
    bank: np.ndarray | None = None

    @property
    def title(self) -> str:
        return runs.name(self.record) if self.bank is None else before()

    @property
    def key(self) -> str:
        return self.record.recipe if self.bank is None else f"{self.record.recipe}_before"

    @property
    def identity(self) -> tuple[str, bool]:
        """What its answers depend on: its bundle's digest, and whether it was trained."""
        return self.record.bundle.digest, self.bank is None

    def vote(self, picture: Pictures, k: int, temperature: float) -> Vote:
        """What a page shows of a picture, kept for all visitors."""
        request = (self.identity, picture.tobytes(), k, temperature)
        return library.answers("near_votes", VOTES_KEPT).ask(
            request, lambda: self.vote_anew(picture, k, temperature)
        )

    def vote_anew(self, picture: Pictures, k: int, temperature: float) -> Vote:
        """The same for what is kept in a shorter form: a vote of the whole bank is large."""
        ask = networks.explorer(self.record)
        seen = library.answers("near_features", FEATURES_KEPT).ask(
            (self.identity, picture.tobytes()),
            lambda: ask.features(picture[None], trained=self.bank is None),
        )
        return ask.vote(picture, k, temperature, untrained_bank=self.bank, features=seen)


@dataclass(frozen=True)
class Group:
    """What one network holds for the nearest: its vote, and the pictures, where they are at hand."""

    title: str
    found: Vote
    pictures: Pictures | None


def group(voter: Voter, picked: PickedPicture) -> Group:
    """The nearest of one network, and their pictures where they are at hand."""
    found = voter.vote(picked.picture, SHOWN, TEMPERATURE)
    at_hand = networks.training_set_at_hand(voter.record)
    pictures = networks.bank_pictures(voter.record, found.index) if at_hand else None
    return Group(voter.title, found, pictures)


def grid(
    picked: PickedPicture, groups: Sequence[Group], names: Sequence[str], coming: Sequence[str] = ()
) -> None:
    """The picture, and of every network the nearest of its bank, most similar first.

    ``coming``: titles of networks that are still being asked.
    """
    parts = [
        f'<div class="near" style="--networks: {len(groups) + len(coming)}">',
        '<div class="query">',
        f'<div class="title">{escape(_("The picture"))}</div>',
        f"<figure>{_image(picked.picture, picked.words)}<figcaption>{escape(picked.words)}</figcaption>",
        "</figure></div>",
    ]
    for group in groups:
        tiles = "".join(
            _tile(group, place, names) for place in range(min(SHOWN, len(group.found.index)))
        )
        parts.append(
            f'<div><div class="title">{escape(group.title)}</div><div class="tiles">{tiles}</div>'
            f'<div class="said">{escape(of_its_class(picked, group.found, names))}</div></div>'
        )
    for title in coming:
        waiting = escape(_("Asked about the whole bank, once: a few seconds …"))
        parts.append(
            f'<div><div class="title">{escape(title)}</div><div class="said">{waiting}</div></div>'
        )
    st.html(STYLE)
    st.html("".join([*parts, "</div>"]))


def of_its_class(picked: PickedPicture, found: Vote, names: Sequence[str]) -> str:
    """How many of the nearest are of the picture's class; of a picture without one, which classes they are."""
    labels = found.labels[:SHOWN]
    if picked.label is None:
        return _(CLASSES_AMONG).format(count=len(set(labels.tolist())), shown=len(labels))
    return _(OF_ITS_CLASS).format(
        count=int((labels == picked.label).sum()), shown=len(labels), name=names[picked.label]
    )


def _tile(group: Group, place: int, names: Sequence[str]) -> str:
    label = int(group.found.labels[place])
    name, colour = names[label], CLASSES[label % len(CLASSES)]
    similarity = number(float(group.found.similarity[place]), 2)
    words = _("{rank}: {name}, similarity {similarity}").format(
        rank=place + 1, name=name, similarity=similarity
    )
    if group.pictures is None:
        tinted = f"background: {colour}33"
        body = f'<div class="class" style="{tinted}" role="img" aria-label="{escape(words)}"></div>'
    else:
        body = _image(group.pictures[place], words)
    caption = f"{escape(name)}<br>{escape(similarity)}"
    return f'<figure style="--of: {colour}">{body}<figcaption>{caption}</figcaption></figure>'


def _image(picture: Pictures, words: str) -> str:
    """A small picture inside the page: a few kilobytes that no second request fetches."""
    encoded = base64.b64encode(png_bytes(picture)).decode()
    return f'<img src="data:image/png;base64,{encoded}" alt="{escape(words)}">'
