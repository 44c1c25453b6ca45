"""One visitor and thirty: opens, moves and clicks a second, how long each takes, errors, memory.

    python tests/benchmarks/visitors.py [--visitors 30] [--mix NAME ...] [--short]
    python tests/benchmarks/visitors.py --minutes 60

Starts the app, or takes the one at ``--url``, and speaks Streamlit's own protocol as that number of visitors
(``visitor.py``): what is timed ends when the last picture that the page then shows has arrived. Nothing is
drawn, and nothing runs in a browser: what moves under a hand there costs the server nothing anyway.
Every mix is run by one visitor and then by all.

link     all open one link within 10 s, then each moves something every 4 s
pages    the same, everybody on another page and every few moves on the next
denoise  all ask for a seed within 5 s (4 pictures, DDIM 20, gone unasked): for one seed, then each for another
sweep    all press the button of a sweep for t* within 5 s: with one seed, then each with another
tabs     every visitor opens every page in a tab of its own and leaves all of them open

``--minutes``: for so long all walk over all pages in both languages, move, press, lose their connection
and come back; memory, threads and files must not grow. The visitors share the machine with the server;
what they take of it is printed. Exits with 1 where a limit was missed or anything went wrong; with
``--short``, for machines that are busy with something else, only where anything went wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.visitor import Answer, Failed, Visitor
from tests.benchmarks.watched import Report, Tally, Watched
from tests.browser.conftest import ROOT, Server

OPENED_WITHIN, PRESSED_WITHIN = 10.0, 5.0
"""Seconds within which all have opened a link, or pressed a button."""
FIRST_PICTURE, MOVED, FIRST_FRAME = 3.0, 0.3, 1.5
"""Seconds: to the first picture of a link for all, of a move for 95 %, to the first frame of live work."""
OF_ONE_BATCH = 1.3
"""How many times what one batch takes everybody waits at most."""
MEMORY = 2048.0
GROWTH, MORE_THREADS, MORE_FILES = 64.0, 8, 16
"""What a soak may add after its first quarter: MiB, threads, open files."""
WARM = 0.25
MOVES_A_PAGE = 4
SWEPT_AT_ONCE = 4
"""Sweeps of the batch that is measured in the same run; more at once take as long each."""

CONTROLS: dict[str, tuple[str, ...]] = {
    "": ("home_step_hand",),
    "latent-space": ("latent_dice",),
    "interpolation": ("interpolation_w_hand", "interpolation_n"),
    "latent-profiles": ("profiles_class", "profiles_times_hand"),
    "likelihood": ("likelihood_draws_hand",),
    "vae-training": ("training_epoch_hand", "training_curve"),
    "adding-noise": ("noise_t_hand", "noise_coefficient"),
    "denoising": ("denoise_t_hand", "denoise_noise"),
    "t-star": ("tstar_t_hand", "tstar_set_class"),
    "undo-an-attack": ("purify_t_hand", "purify_share"),
    "vae-and-ddpm": ("against_marks",),
    "ddpm-lengths": ("lengths_at_noise_hand", "lengths_quality"),
    "inside-the-unet": ("inside_t_hand", "inside_view"),
    "ddpm-training": ("ddpm_example_t_hand", "ddpm_epoch_hand"),
    "two-views": ("views_strength_hand", "views_crop"),
    "collapse": ("collapse_epoch_hand", "collapse_layer"),
    "collapse-live": ("toy_step_hand",),
    "neighbours": ("near_k", "near_temperature"),
    "siblings": ("siblings_method", "siblings_figure"),
    "checkpoints": ("checkpoints_family",),
}
"""Pages, and the controls that are moved there in turn."""
BUTTONS = {
    "latent-space": "latent_dice_again",
    "ddpm-training": "ddpm_example_seed_draw",
    "two-views": "views_heavy",
    "denoising": "denoise_go",
    "neighbours": "near_next",
}
"""Buttons that a soak presses."""
LINK = "lang=en&denoise_noise=own&denoise_seed={seed}"
LINK_MOVES = ("denoise_t_hand", "denoise_which")
DENOISE = "lang=en&denoise_noise=own&denoise_count=4&denoise_steps=20"
SWEEP = "lang=en&tstar_seed={seed}"
SEEDS = itertools.count(1000, 40)
"""First seeds of what nobody has asked for yet."""
COMPUTED = re.compile(r"computed live · ([\d.,]+) s")


@dataclass(frozen=True)
class Pace:
    """How long and how often; ``moving``: seconds of moves after the opening, ``every``: between two."""

    moving: float = 40.0
    every: float = 4.0
    opened_within: float = OPENED_WITHIN
    pressed_within: float = PRESSED_WITHIN
    pages: tuple[str, ...] = tuple(CONTROLS)
    compared: bool = True
    """Whether live work stands against one batch, which is computed here."""


SHORT = Pace(2.0, 0.5, 0.5, 0.5, ("adding-noise", "latent-profiles"), compared=False)


@dataclass
class Bench:
    """One run of this script: the server, the pace, the report."""

    base: str
    server: Watched
    pace: Pace
    report: Report
    chance: random.Random = field(default_factory=lambda: random.Random(0))

    async def all_do(
        self, count: int, visit: Callable[[int, Visitor, Tally], Awaitable[None]]
    ) -> Tally:
        """So many visitors do something at once; whoever fails is counted, and the others go on."""
        visitors, tally = [Visitor(self.base) for _ in range(count)], Tally()

        async def safely(number: int, visitor: Visitor) -> None:
            try:
                await visit(number, visitor, tally)
            except (Failed, OSError, TimeoutError) as error:
                tally.errors.append(str(error) or type(error).__name__)
            finally:
                await visitor.leave()

        await asyncio.gather(*itertools.starmap(safely, enumerate(visitors)))
        tally.ended = time.perf_counter()
        return tally

    @contextmanager
    def heading(self, words: str, count: int) -> Iterator[None]:
        """A heading, and after what stands below it what the server and the visitors took."""
        self.report.begin(f"{words}, {count} visitor{'' if count == 1 else 's'}")
        server, own = self.server.work(), Watched(os.getpid()).work()
        yield
        if server is not None:
            took = f"server {self.server.work() - server:.1f} s of a core"
            own = f"visitors {Watched(os.getpid()).work() - own:.1f} s"
            self.report.say(f"  {took}, {own}; memory {self.server.memory():,.0f} MiB")


# ---------------------------------------------------------------- opening and moving


async def moves(
    bench: Bench,
    visitor: Visitor,
    tally: Tally,
    keys: Sequence[str],
    until: float,
    most: int = sys.maxsize,
) -> None:
    """One move every few seconds, one at least, of each control in turn; without a pause where there is
    no end.
    """
    every = bench.pace.every if until < math.inf else 0.0
    due = time.perf_counter() + bench.chance.uniform(0, every)
    for number in range(most):
        due = max(due, time.perf_counter())
        if number and due > until:
            return
        await asyncio.sleep(due - time.perf_counter())
        key = keys[number % len(keys)]
        tally.note("move", await visitor.move(key), key)
        due += every


def opening(bench: Bench, count: int, number: int) -> float:
    """When the visitor of this number comes, in seconds."""
    return bench.pace.opened_within * number / count


async def link(bench: Bench, count: int) -> None:
    """All open one link, then move something every few seconds."""
    query = LINK.format(seed=next(SEEDS))

    async def visit(number: int, visitor: Visitor, tally: Tally) -> None:
        await asyncio.sleep(opening(bench, count, number))
        tally.note("open", await visitor.open("denoising", query))
        until = time.perf_counter() + bench.pace.moving
        await moves(bench, visitor, tally, LINK_MOVES, until)

    with bench.heading("link", count):
        tally = await bench.all_do(count, visit)
        report = bench.report
        report.times("to the first picture", tally.seconds("open", "first"), FIRST_PICTURE, 1)
        report.times("to the whole page", tally.seconds("open"))
        report.times("a move", tally.seconds("move"), MOVED)
        report.rates(tally)


async def pages(bench: Bench, count: int) -> None:
    """Everybody on another page, and every few moves on the next."""

    async def visit(number: int, visitor: Visitor, tally: Tally) -> None:
        await asyncio.sleep(opening(bench, count, number))
        until = tally.begun + bench.pace.opened_within + bench.pace.moving
        # A single visitor goes to all pages, so that both rounds hold the same ones.
        names = bench.pace.pages
        for turn in itertools.count() if count > 1 else range(len(names)):
            path = names[(number + turn) % len(names)]
            tally.note("open", await visitor.open(path, "lang=en"), path)
            last = until if count > 1 else math.inf
            await moves(bench, visitor, tally, CONTROLS[path], last, MOVES_A_PAGE)
            if time.perf_counter() > last:
                return

    with bench.heading("pages", count):
        tally = await bench.all_do(count, visit)
        report = bench.report
        report.times("to the first picture", tally.seconds("open", "first"), FIRST_PICTURE)
        report.times("to the whole page", tally.seconds("open"))
        report.times("a move", tally.seconds("move"), MOVED)
        report.slowest(tally, "open")
        report.slowest(tally, "move")
        report.rates(tally)


# ---------------------------------------------------------------- one button


@dataclass(frozen=True)
class Work:
    """Live work of a page: where it is asked for, ``{seed}`` in ``query`` or not, and what then begins it."""

    name: str
    path: str
    query: str
    begin: Callable[[Visitor, int], Awaitable[Answer]]


def seed_drawn(visitor: Visitor, seed: int) -> Awaitable[Answer]:
    return visitor.move("denoise_seed", seed)


def sweep_pressed(visitor: Visitor, _seed: int) -> Awaitable[Answer]:
    return visitor.click("tstar_go")


PICTURES = Work("denoise", "denoising", DENOISE, seed_drawn)
SWEEPS = Work("sweep", "t-star", SWEEP, sweep_pressed)


async def begun(
    bench: Bench, words: str, of: Work, seeds: Sequence[int]
) -> tuple[Tally, float | None, int]:
    """All open the page, then begin its work within a few seconds: what came, the server's work, and how
    many computations the results that they were shown come from.
    """
    count = len(seeds)
    ready, computations = asyncio.Barrier(count), set()
    work: list[float | None] = []  # of the server when the first one begins

    async def visit(number: int, visitor: Visitor, tally: Tally) -> None:
        try:
            await asyncio.sleep(opening(bench, count, number))
            query = of.query.format(seed=seeds[number])
            tally.errors += (await visitor.open(of.path, query)).errors
        finally:
            await ready.wait()  # also of who could not open it, or nobody would begin
        if not work:
            work.append(bench.server.work())
            tally.begun = time.perf_counter()
        await asyncio.sleep(bench.pace.pressed_within * number / count)
        tally.note("click", await of.begin(visitor, seeds[number]))
        seconds = COMPUTED.findall(visitor.page.text())
        if not seconds:
            raise Failed(f"{of.path} shows no result")
        computations.add((seeds[number], *seconds))

    with bench.heading(words, count):
        tally = await bench.all_do(count, visit)
        took = bench.server.work() - work[0] if work and work[0] is not None else None
        bench.report.times("to the first frame", tally.seconds("click", "first"), FIRST_FRAME, 1)
    return tally, took, len(computations)


async def one_work(bench: Bench, count: int, of: Work, batch: float | None) -> None:
    """One visitor, all with one seed, all with different ones; ``batch``: seconds of one batch of all."""
    report = bench.report
    alone, work_alone, _one = await begun(bench, f"{of.name}, alone", of, [next(SEEDS)])
    report.times("to the result", alone.seconds("click"))
    report.rates(alone)

    same = [next(SEEDS)] * count
    tally, work, computations = await begun(bench, f"{of.name}, one seed", of, same)
    report.times("to the result", tally.seconds("click"))
    report.figure("computations of one request", computations, "", 1, digits=0)
    if work and work_alone:
        report.figure("work of the server, against one visitor's", work / work_alone, "times")
    report.rates(tally)

    many = [next(SEEDS) for _ in range(count)]
    tally, work, _each = await begun(bench, f"{of.name}, many seeds", of, many)
    if work:
        report.figure("work of the server", work, "s of a core", digits=1)
    if batch is not None:
        report.figure("one batch of all of them", batch, "s")
    limit = None if batch is None else OF_ONE_BATCH * batch
    report.times("to the result", tally.seconds("click"), limit, 1)
    report.rates(tally)


async def denoise(bench: Bench, count: int) -> None:
    """Four pictures from noise."""
    batch = batch_of_pictures(4 * count) if bench.pace.compared else None
    await one_work(bench, count, PICTURES, batch)


async def sweep(bench: Bench, count: int) -> None:
    """A sweep for t*, 12 levels of 4 draws with DDIM 50."""
    batch = batch_of_sweeps(count) if bench.pace.compared else None
    await one_work(bench, count, SWEEPS, batch)


def batch_of_pictures(count: int) -> float:
    """Seconds of one batch of ``count`` pictures with DDIM 20, in this process."""
    from core.ddpm.explorer import SamplerSettings

    explorer, way = embedded(), SamplerSettings("ddim", 20)
    explorer.denoise(way, range(4))  # warm-up
    begun = time.perf_counter()
    explorer.denoise(way, range(count))
    return time.perf_counter() - begun


def batch_of_sweeps(count: int) -> float:
    """The same for sweeps, of which a few are made and the others counted as slow as those."""
    import numpy as np

    from core.ddpm.explorer import SamplerSettings
    from core.pictures.house_number import HouseNumber, draw

    explorer, several = embedded(), min(count, SWEPT_AT_ONCE)
    levels = np.linspace(explorer.T // 25 - 1, 4 * explorer.T // 5 - 1, 12).round().astype(int)
    pictures = np.stack([draw(HouseNumber())] * several)
    begun = time.perf_counter()
    for _state in explorer.restore(SamplerSettings("ddim", 50), pictures, levels.tolist(), 4, 0):
        pass
    return (time.perf_counter() - begun) * count / several


def embedded():
    """The explorer of the embedded model that pages begin with, in this process."""
    from core.ddpm.explorer import DDPMExplorer
    from core.families import open_bundle

    return DDPMExplorer(open_bundle(ROOT / "checkpoints" / "ddpm-svhn-1000"))


# ---------------------------------------------------------------- memory


async def tabs(bench: Bench, count: int) -> None:
    """Every page in a tab of its own, all left open."""

    async def visit(number: int, visitor: Visitor, tally: Tally) -> None:
        await asyncio.sleep(opening(bench, count, number))
        opened = []
        try:
            for path in bench.pace.pages:
                opened.append(visitor.tab())
                tally.note("open", await opened[-1].open(path, "lang=en"))
        finally:
            await done.wait()
            for one in opened:
                await one.close()

    done = asyncio.Barrier(count)
    with bench.heading("tabs", count):
        tally = await bench.all_do(count, visit)
        bench.report.times("to the first picture", tally.seconds("open", "first"))
        bench.report.times("to the whole page", tally.seconds("open"))
        bench.report.figure("memory at most", bench.server.peak(), "MiB", MEMORY, digits=0)
        bench.report.rates(tally)


async def soak(bench: Bench, count: int, minutes: float) -> None:
    """All walk over all pages, for minutes."""
    end = time.perf_counter() + 60 * minutes
    samples: list[tuple[float, float, int, int]] = []

    async def watch() -> None:
        while bench.server.memory() is not None:
            server = bench.server
            samples.append((time.time(), server.memory(), server.threads(), server.files()))
            held = "{:,.0f} MiB, {} threads, {} files".format(*samples[-1][1:])
            bench.report.say(f"  {(time.perf_counter() - end) / 60 + minutes:5.1f} min: {held}")
            await asyncio.sleep(60 * minutes / 30)

    async def visit(number: int, visitor: Visitor, tally: Tally) -> None:
        await asyncio.sleep(opening(bench, count, number))
        names = list(bench.pace.pages)
        while time.perf_counter() < end:
            path = bench.chance.choice(names)
            language = bench.chance.choice(("en", "fr"))
            try:
                tally.note("open", await visitor.open(path, f"lang={language}"), path)
                await moves(bench, visitor, tally, CONTROLS[path], end, MOVES_A_PAGE)
                if path in BUTTONS:
                    button = BUTTONS[path]
                    tally.note("click", await visitor.click(button), button)
                if bench.chance.random() < 0.2:
                    tally.note("return", await visitor.reconnect())
            except (Failed, OSError, TimeoutError) as error:
                tally.errors.append(str(error) or type(error).__name__)

    with bench.heading(f"soak of {minutes:g} minutes", count):
        watching = asyncio.create_task(watch())
        tally = await bench.all_do(count, visit)
        watching.cancel()
        for kind in tally.answers:
            bench.report.times(f"{kind}s", tally.seconds(kind))
            bench.report.slowest(tally, kind)
        again = sum(answer.asked - 1 for answer in tally.answers.get("return", []))
        bench.report.figure("asked once more after a lost connection", again, "times", digits=0)
        bench.report.rates(tally)
        grown(bench.report, samples)
        bench.report.figure("memory at most", bench.server.peak(), "MiB", MEMORY, digits=0)


def grown(report: Report, samples: Sequence[tuple[float, float, int, int]]) -> None:
    """What the last quarter holds on average beyond the second one."""
    if len(samples) < 4:
        return
    quarter = len(samples) // 4
    before, after = samples[quarter : 2 * quarter], samples[-quarter:]
    kinds = (
        ("memory added", "MiB", GROWTH),
        ("threads added", "", MORE_THREADS),
        ("files added", "", MORE_FILES),
    )
    for place, (what, unit, limit) in enumerate(kinds, start=1):
        means = [sum(sample[place] for sample in part) / quarter for part in (before, after)]
        report.figure(what, means[1] - means[0], unit, limit, digits=1)


# ---------------------------------------------------------------- the script

MIXES = {"link": link, "pages": pages, "denoise": denoise, "sweep": sweep, "tabs": tabs}
TWICE = ("link", "pages", "tabs")
"""Mixes that one visitor runs before all do."""
USUAL = ("link", "pages", "denoise", "sweep", "tabs")
USUAL_SHORT = ("link", "pages", "denoise")


async def run(bench: Bench, arguments: argparse.Namespace) -> None:
    if arguments.minutes:
        await soak(bench, arguments.visitors, arguments.minutes)
    usual = () if arguments.minutes else USUAL_SHORT if arguments.short else USUAL
    for name in arguments.mix or usual:
        for count in sorted({1, arguments.visitors} if name in TWICE else {arguments.visitors}):
            await MIXES[name](bench, count)


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, help="how many at once; 30, or 2 with --short")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="a soak of this number of minutes"
    )
    parser.add_argument("--mix", choices=MIXES, action="append", help="only this one; repeatable")
    parser.add_argument("--every", type=float, help="seconds from one move to the next")
    parser.add_argument("--short", action="store_true", help="two visitors, under half a minute")
    parser.add_argument("--url", help="an app that runs already")
    parser.add_argument("--pid", type=int, help="its process, for its memory")
    arguments = parser.parse_args()
    arguments.visitors = arguments.visitors or (2 if arguments.short else 30)
    return arguments


def main() -> int:
    arguments, report = asked(), Report()
    pace = SHORT if arguments.short else Pace()
    if arguments.every:
        pace = replace(pace, every=arguments.every)
    cores, busy = os.cpu_count(), os.getloadavg()[0]
    report.say(f"{cores} cores, load before this run {busy:.1f}")
    server = None
    if not arguments.url:
        server = Server(Path(tempfile.mkdtemp(prefix="latent-atelier-")) / "log")
    try:
        base = arguments.url or server.url
        watched = Watched(arguments.pid if arguments.url else server.process.pid)
        asyncio.run(run(Bench(base, watched, pace, report), arguments))
    finally:
        if server is not None:
            server.stop()
    report.conclude()
    return 1 if report.errors or (report.missed and not arguments.short) else 0


if __name__ == "__main__":
    sys.exit(main())
