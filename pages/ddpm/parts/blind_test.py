"""A blind test: one picture at a time, and the visitor says which model made it.

Before the answer is given the page holds nothing that tells: pictures are sent as PNG files of one size,
whatever is in them, under the same words and keys.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import streamlit as st
from PIL import Image

from core.bundles.bundle import Bundle
from core.ddpm.explorer import SamplerSettings
from core.ddpm.restoration import COVERAGE, wilson
from core.pictures.images import Pictures, sharpness
from pages.shared import controls, data_sets, figures, library, loaders, shape
from pages.shared.figures import Column, Provenance, digits
from pages.shared.text import N_, _, number, percent, plain_errors

KINDS = {"vae": "VAE", "ddpm": "DDPM", "real": N_("real digit")}
WAY = SamplerSettings("ddim", 50)
LENGTH = 12
"""Pictures of one round."""
ROUNDS = 5
SOME = 6
"""Answers from which the visitor's own table is shown."""
FIRST_SEED = 20_000
"""Seeds of the samples begin here: no grid of the page can show the same ones."""
TOLD_APART = N_("The whole interval lies above that: **you can tell them apart**.")
TAKEN_FOR_ANOTHER = N_(
    "The whole interval lies below that: **you can tell them apart, but take one for another**."
)
LUCK = N_(
    "The interval holds that number: so far **this could be luck**. More answers make it narrower."
)
"""How the visitor's share compares with guessing."""
ROUND = N_("The pictures of this round")
STATE = "against_blind"
ROUNDS_KEPT = 32


# ---------------------------------------------------------------- which pictures, in which order


@dataclass(frozen=True)
class BlindTest:
    """What makes two blind tests the same: the models, the seed, the kinds of pictures."""

    vae: Bundle
    ddpm: Bundle
    seed: int
    kinds: tuple[str, ...]

    @property
    def request(self) -> tuple:
        return self.vae.digest, self.ddpm.digest, self.seed, self.kinds


def order(seed: int, round_: int, kinds: Sequence[str]) -> list[str]:
    """Of what kind each picture of a round is: ``LENGTH`` of them, each drawn by itself.

    With as many of each, whoever counts what is left would be right more often than who guesses.
    """
    generator = np.random.default_rng([FIRST_SEED, seed, round_])
    return [str(kind) for kind in generator.choice(kinds, LENGTH)]


def seeds_of(seed: int, round_: int, kinds: Sequence[str]) -> range:
    """Seeds of the samples of a round; no other round of any test has one of them."""
    test = 2 * seed + (len(kinds) == 2)
    begin = FIRST_SEED + (test * ROUNDS + round_) * LENGTH
    return range(begin, begin + LENGTH)


def pictures_of(test: BlindTest, round_: int) -> Pictures:
    """The pictures of a round in their order, uint8 (LENGTH, 32, 32, 3): made once for all visitors."""

    def make() -> Pictures:
        seeds, kinds = seeds_of(test.seed, round_, test.kinds), order(test.seed, round_, test.kinds)
        make_of = {
            "vae": lambda count: loaders.vae_samples(test.vae.name, seeds[0], count).value,
            "ddpm": lambda count: loaders.samples(test.ddpm.name, WAY, seeds[:count]).value,
            "real": lambda count: real_digits(test, round_)[:count],
        }
        waiting = {kind: iter(make_of[kind](kinds.count(kind))) for kind in set(kinds)}
        return np.stack([next(waiting[kind]) for kind in kinds])

    with st.spinner(_("Making the pictures …")):
        return library.timed_answer("blind", ROUNDS_KEPT, (*test.request, round_), make).value


def real_digits(test: BlindTest, round_: int) -> Pictures:
    """``LENGTH`` pictures of the test set, none of them in another round where the set is large enough."""
    about = test.ddpm.config["data"]
    name, split, most = about["name"], about["test_split"], ROUNDS * LENGTH
    there = loaders.picture_count(name, split)
    rows = np.random.default_rng(test.seed).choice(there, most, replace=there < most)
    return loaders.some_pictures(name, split, rows[round_ * LENGTH :][:LENGTH]).pictures


# ---------------------------------------------------------------- what the visitor said


@dataclass
class Answers:
    """Answers of one visitor to one test: ``said`` so far, and at which picture the visitor is.

    ``at`` is None before the test has begun.
    """

    request: tuple = ()
    said: list[str] = field(default_factory=list)
    at: int | None = None

    @property
    def picture_is_answered(self) -> bool:
        """Whether the picture on the screen has been answered."""
        return self.at is not None and len(self.said) > self.at

    # Both say which picture they mean: a second press may arrive before the page shows the next one.

    def answer(self, at: int, kind: str) -> None:
        """The answer to picture ``at``, once."""
        if len(self.said) == at:
            self.said.append(kind)

    def go_on(self, at: int) -> None:
        """From picture ``at`` to the one after it."""
        self.at = at + 1


def confusion(was: Sequence[str], said: Sequence[str], kinds: Sequence[str]) -> np.ndarray:
    """Counts (k, k): in row i and column j the pictures of kind i that were said to be of kind j."""
    counts = np.zeros((len(kinds), len(kinds)), dtype=int)
    for true, answer in zip(was, said, strict=True):
        counts[kinds.index(true), kinds.index(answer)] += 1
    return counts


def score(counts: np.ndarray) -> tuple[int, int, float, float]:
    """Right answers, all answers, and the interval of the share (Wilson 1927)."""
    right, count = int(np.trace(counts)), int(counts.sum())
    low, high = wilson(np.float64(right / count), count)
    return right, count, float(low), float(high)


def in_words(counts: np.ndarray, *, ended: bool = True) -> str:
    """How often the visitor was right; where a round has ended, whether that is more than guessing.

    Not after every answer: of many looks at a 90% interval one would be wrong before long.
    """
    right, count, low, high = score(counts)
    chance = 1 / len(counts)
    words = _(
        "**Right: {right} of {count}**, {share} [{low}, {high}]. Guessing gives {chance}."
    ).format(
        right=right,
        count=count,
        share=percent(right / count),
        low=percent(low),
        high=percent(high),
        chance=percent(chance),
    )
    if not ended:
        return words
    if low > chance:
        return words + " " + _(TOLD_APART)
    if high < chance:
        return words + " " + _(TAKEN_FOR_ANOTHER)
    return words + " " + _(LUCK)


# ---------------------------------------------------------------- on the page


@shape.fragment
def show(vae: Bundle, ddpm: Bundle) -> None:
    """The whole test: runs again by itself, so that an answer waits for nothing else."""
    with plain_errors():
        st.subheader(_("Blind test: who made it?"), anchor=False)
        about = ddpm.config["data"]
        real = data_sets.at_hand(about["name"], about["test_split"])
        with st.container(horizontal=True, vertical_alignment="bottom"):
            seed = controls.seed("against_blind_seed")
            if real:
                real = controls.switch(_("Real digits too"), "against_blind_real", default=True)
            else:
                words = _("Real digits too ({megabytes} MB)")
                data_sets.offer(about["name"], about["test_split"], words, "against_blind_offer")
        test = BlindTest(vae, ddpm, seed, ("vae", "ddpm", "real") if real else ("vae", "ddpm"))
        answers = st.session_state.get(STATE)
        if answers is None or answers.request != test.request:
            answers = st.session_state[STATE] = Answers(test.request)
        if answers.at is None:
            before(test, answers)
        else:
            ask(test, answers)


def before(test: BlindTest, answers: Answers) -> None:
    """What will happen, and the button that begins it."""
    st.markdown(
        _(
            "{count} pictures, one by one, each of the VAE or of the DDPM by the toss of a coin, none of them "
            "shown above. After each answer you learn what it was, and in the end how often you were right. "
            "Everyone who opens a link with seed {seed} sees the same pictures of these models in the same "
            "order."
        ).format(count=LENGTH, seed=test.seed)
        if len(test.kinds) == 2
        else _(
            "{count} pictures, one by one, each a real digit, a sample of the VAE or one of the DDPM by the "
            "throw of a die, none of them shown above. After each answer you learn what it was, and in the "
            "end how often you were right. Everyone who opens a link with seed {seed} sees the same pictures "
            "of these models in the same order."
        ).format(count=LENGTH, seed=test.seed)
    )
    controls.act(
        _("Begin"),
        key="against_blind_begin",
        type="primary",
        icon=":material/visibility:",
        on_click=lambda: setattr(answers, "at", 0),
    )


def ask(test: BlindTest, answers: Answers) -> None:
    """The picture of now with its buttons; what it was only once the visitor has answered."""
    round_, place = divmod(answers.at, LENGTH)
    picture = pictures_of(test, round_)[place]
    shown, words = st.columns([2, 3], gap="large")
    with shown:
        large(picture, _("Picture {number}").format(number=answers.at + 1))
    with words:
        st.markdown(
            _("Picture {number} of {count}: **who made it?**").format(
                number=answers.at + 1, count=(round_ + 1) * LENGTH
            )
        )
        if answers.picture_is_answered:
            tell(test, answers, picture)
        else:
            with st.container(horizontal=True):
                for kind in test.kinds:
                    controls.act(
                        capital(_(KINDS[kind])),
                        key=f"against_blind_say_{kind}",
                        on_click=answers.answer,
                        args=(answers.at, kind),
                    )
    if answers.said:
        table(test, answers)


def capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def large(picture: Pictures, alt: str) -> None:
    """One picture (32, 32, 3), enlarged by the browser; its file has the same size for any picture."""
    encoded = base64.b64encode(plain_png(picture)).decode()
    st.html(
        f'<img src="data:image/png;base64,{encoded}" alt="{html.escape(alt)}" style="display:block;'
        f'width:min(20rem,100%);image-rendering:pixelated;border-radius:0.5rem">'
    )


def plain_png(picture: Pictures) -> bytes:
    """A PNG without compression: a compressed one would be shorter the more blurred its picture is."""
    stored = io.BytesIO()
    Image.fromarray(picture).save(stored, "PNG", compress_level=0)
    return stored.getvalue()


def truth(test: BlindTest, count: int) -> list[str]:
    """Of what kind the first ``count`` pictures of a test are."""
    rounds = range(-(-count // LENGTH))
    return [kind for one in rounds for kind in order(test.seed, one, test.kinds)][:count]


def tell(test: BlindTest, answers: Answers, picture: Pictures) -> None:
    """What the picture was, two figures of it, and what comes next."""
    was, said = truth(test, answers.at + 1)[-1], answers.said[answers.at]
    words = {
        "vae": _("It was a sample of the **VAE**."),
        "ddpm": _("It was a sample of the **DDPM**."),
        "real": _("It was a **real digit** of the test set."),
    }[was]
    (st.success if was == said else st.error)(
        words
        + " "
        + (
            _("You were right.")
            if was == said
            else _("You said: {kind}.").format(kind=_(KINDS[said]))
        ),
        icon=":material/check:" if was == said else ":material/close:",
    )
    judge = loaders.judge()
    seen = loaders.verdicts(picture[None])
    st.caption(
        _(
            "Neighbouring pixels differ by {sharp} grey levels. The digit classifier reads {digit} "
            "with p = {p}."
        ).format(
            sharp=number(sharpness(picture[None]), 1),
            digit=judge.class_names[int(seen.digit[0])],
            p=number(float(seen.confidence[0]), 2),
        )
    )
    last = (answers.at + 1) % LENGTH == 0
    with st.container(horizontal=True):
        if answers.at + 1 < ROUNDS * LENGTH:
            controls.act(
                _("{count} more").format(count=LENGTH) if last else _("Next picture"),
                key="against_blind_next",
                type="primary",
                icon=":material/arrow_forward:",
                on_click=answers.go_on,
                args=(answers.at,),
            )
        controls.act(
            _("Begin anew"),
            key="against_blind_anew",
            icon=":material/restart_alt:",
            on_click=lambda: st.session_state.pop(STATE, None),
        )


def table(test: BlindTest, answers: Answers) -> None:
    """The visitor's own table of confusions, once there are some answers, and all pictures answered."""
    count = len(answers.said)
    if count < SOME:
        st.caption(
            _("{count} of {some} answers until your own table.").format(count=count, some=SOME)
        )
        return
    was = truth(test, count)
    counts = confusion(was, answers.said, test.kinds)
    st.markdown(in_words(counts, ended=count % LENGTH == 0))
    rows = [
        {"was": kind, "right": share}
        | {name: int(n) for name, n in zip(test.kinds, counted, strict=True)}
        for kind, counted, share in zip(
            test.kinds, counts, np.diag(counts) / np.maximum(1, counts.sum(axis=1)), strict=True
        )
        if counted.sum()
    ]
    figures.table(
        rows,
        [
            Column("was", _("it was"), lambda kind: _(KINDS[kind])),
            *(
                Column(kind, _("you said: {kind}").format(kind=_(KINDS[kind])), digits(0))
                for kind in test.kinds
            ),
            Column("right", _("right"), percent),
        ],
        "blind_test",
    )
    st.caption(
        _("In brackets the {coverage} interval (Wilson 1927).").format(coverage=percent(COVERAGE))
    )
    seen = np.concatenate([pictures_of(test, one) for one in range(-(-count // LENGTH))])[:count]
    if count % LENGTH == 0:
        labels = [
            _(KINDS[true]) + ("" if true == said else " ×")
            for true, said in zip(was[-LENGTH:], answers.said[-LENGTH:], strict=True)
        ]
        figures.strip(
            seen[-LENGTH:],
            labels,
            "blind_test",
            columns=6,
            alt=_(ROUND),
            factor=8,
        )
        st.caption(_("×: you said another."))
    settings = {_("seed"): test.seed, _("sampler"): "DDIM 50"}
    figures.about(
        Provenance(test.vae, True, settings=settings, also=[test.ddpm]),
        "blind_test",
        png=lambda: figures.grid(seen, 6),
        rows=lambda: [
            {"picture": index + 1, "was": true, "said": said}
            for index, (true, said) in enumerate(zip(was, answers.said, strict=True))
        ],
    )
