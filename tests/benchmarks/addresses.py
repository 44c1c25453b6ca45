# ruff: noqa: E402
"""Visits pages by addresses and with files that nobody means, and counts what went wrong.

    python tests/benchmarks/addresses.py [--count 10000] [--part 1/4] [--done FILE] [--seed 0] [--short]

Every case is a visit of a page: an address with wild values of the page's own controls and of the frame's
parameters, a lesson that is damaged, or a file given to one of the page's fields. No run may end in an
exception; nothing of the address or of the file may come back as HTML that runs something, or as a link or a
picture from elsewhere. After every four visits of a page a clean one has to show what the first one showed.

``--part i/n`` does every n-th page visit only; ``--done`` notes in a file what is done, and goes on from there
when it is called again. Exits with 1 where anything was lost. It works on the library of the tests:
ATELIER_TEST_LIBRARY names the folder that keeps it; making it takes minutes.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
for variable in ("ATELIER_DATA_DIR", "ATELIER_CHECKPOINTS", "ATELIER_LESSONS", "ATELIER_ANSWERS"):
    os.environ.pop(variable, None)
os.environ.update({"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"})

from streamlit.testing.v1 import AppTest

from pages.shared import links
from pages.teach import room, shelf
from tests.benchmarks import losses, visits, wild
from tests.benchmarks.losses import Losses
from tests.benchmarks.small_library import small_library
from tests.pages.opening import PAGES

FULL, SHORT = 10_000, 40
TOGETHER = 4
"""Cases of one page between two clean visits of it."""
FEW = (
    "my_sheet",
    "latent_space",
    "mark_sheets",
    "collapse",
    "overview",
    "checkpoints",
    "home",
    "two_views",
    "denoising",
    "likelihood",
)
"""Pages of ``--short``: others take seconds when they are opened first."""
FRAME = ("keep", "figures", "hide", "at", "bundle", "model", "run")
SHAPED = ("keep", "figures", "hide")
CHOICES = ("selectbox", "button_group", "multiselect", "select_slider")
NUMBERS = ("slider", "number_input")
DEEPER = re.compile(r'f"\{prefix\}(_[a-z_]+)"')
"""How pages name controls that are shown only when others stand at something."""


@dataclass
class Known:
    """What a clean visit of a page shows: values that its controls take, figures, pictures, errors."""

    controls: Mapping[str, list[str]]
    figures: tuple[str, ...]
    shown: tuple[tuple[str, ...], set[str]]


@dataclass
class Addresses:
    """One run of the script."""

    losses: Losses
    names: tuple[str, ...]
    known: dict[str, Known] = field(default_factory=dict)
    rooms: tuple[tuple[str, str], ...] = ()

    # ------------------------------------------------------------ clean visits

    def clean(self, name: str) -> AppTest:
        return visits.visit(name, {"lang": "en"})

    def of(self, name: str) -> Known:
        """What is known of a page."""
        if name not in self.known:
            at = self.clean(name)
            found = visits.exceptions(at)
            if found:
                raise SystemExit(f"{name} does not open: {found}")
            figures = tuple(at.session_state["shape"].seen_figures)
            self.known[name] = Known(controls_of(at), figures, shown(at))
        return self.known[name]

    def still_as_before(self, name: str, number: int) -> None:
        """A clean visit, after wild ones."""
        at, (words, pictures) = self.clean(name), self.of(name).shown
        found, now = visits.exceptions(at), shown(at)
        # It may show more: the result of long work that a visitor wanted is there for all.
        if found or now[0] != words or not pictures <= now[1]:
            self.losses.lost(number, f"{name}, clean", f"{found or 'it shows something else'}")

    # ------------------------------------------------------------ cases

    def block(self, place: int) -> None:
        """Some wild visits of one page, and a clean one."""
        name = self.names[place % len(self.names)]
        self.of(name)
        for number in range(place * TOGETHER, (place + 1) * TOGETHER):
            self.case(name, number)
        self.still_as_before(name, number)

    def case(self, name: str, number: int) -> None:
        """One visit."""
        chance = self.losses.chance(number)
        way = chance.random()
        if way < 0.3 and (given := uploads(name)):
            self.given(name, number, chance, *chance.choice(given))
            return
        query = self.lesson(chance) if way > 0.85 else self.query(name, chance)
        self.losses.tried("a lesson" if way > 0.85 else "an address")
        self.look(name, number, visits.visit(name, query), query)

    def look(self, name: str, number: int, at: AppTest, asked: object) -> None:
        """Whatever is wrong with a visit is lost."""
        for words in (*visits.exceptions(at), *visits.foreign_on(at, wild.EVIL)):
            self.losses.lost(number, name, f"{words}; {asked!r:.300}")

    # ------------------------------------------------------------ addresses

    def query(self, name: str, chance: random.Random) -> dict[str, list[str]]:
        """An address of the page."""
        known = self.of(name)
        names = [*known.controls]
        asked = chance.sample(names, min(len(names), chance.choice((0, 1, 1, 2, 3, 6, 40))))
        query = {one: wild.values(chance, known.controls[one]) for one in asked}
        deeper = [f"{prefix}{end}" for prefix in prefixes(names) for end in ENDS]
        for _ in range(chance.choice((0, 0, 1, 3))):
            query[chance.choice(deeper or ["x"])] = wild.values(chance)
        for parameter in FRAME:
            if chance.random() < 0.15:
                query[parameter] = self.of_the_frame(parameter, known, chance)
        if chance.random() < 0.2:
            query[chance.choice(wild.NAMES)] = wild.values(chance)
        query["lang"] = chance.choice((["en"], ["en"], ["fr"], wild.values(chance)))
        return {one: said for one, said in query.items() if said}

    def of_the_frame(self, parameter: str, known: Known, chance: random.Random) -> list[str]:
        """A parameter that belongs to no page."""
        if parameter not in SHAPED or chance.random() < 0.3:
            return wild.values(chance, ("1", "vae-svhn", "user/name@main"))
        there = {"keep": [*known.controls], "figures": [*known.figures], "hide": [*wild.PARTS]}
        some = chance.sample(there[parameter], min(len(there[parameter]), chance.choice((0, 1, 3))))
        if chance.random() < 0.3:
            some.append(wild.value(chance))
        return [",".join(some)]

    def lesson(self, chance: random.Random) -> dict[str, list[str]]:
        """An address of a step of a lesson, or of a room."""
        codes, secrets = zip(*self.rooms, strict=True)
        query = {"lang": [chance.choice(("en", "fr"))]}
        if chance.random() < 0.85:
            query["lesson"] = [wild.lesson(chance)]
        query["step"] = wild.values(chance, ("1", "2", "3"))
        looks = wild.values(chance, wild.LOOKS)
        query["as"] = looks if chance.random() < 0.3 else [chance.choice(wild.LOOKS)]
        for parameter, own in (("room", codes), ("host", secrets)):
            if chance.random() < 0.4:
                query[parameter] = wild.values(chance, own)
        return query

    # ------------------------------------------------------------ files

    def given(self, name: str, number: int, chance: random.Random, kind: str, key: str) -> None:
        """A file in one of the page's fields, once or several times in one visit."""
        self.losses.tried(f"a file, {kind}")
        origin = {key.replace("_upload", "_from"): "upload"} if kind == "picture" else {}
        at = visits.visit(name, {"lang": chance.choice(("en", "fr")), **origin})
        self.look(name, number, at, origin)
        for _ in range(chance.choice((1, 1, 2))):
            fields = [one for one in at.file_uploader if str(one.key).startswith(key)]
            if not fields:
                self.losses.lost(number, name, f"no field {key}")
                return
            many = chance.choice((1, 3, 8)) if fields[0].accept_multiple_files else 1
            suffix = chance.choice(fields[0].allowed_type)
            files = [
                (f"{n}{chance.choice(('', '<b>', 'é'))}{suffix}", FILES[kind](chance), "text/html")
                for n in range(many)
            ]
            fields[0].set_value(files if many > 1 else files[0])
            at.run(timeout=visits.LONGEST)
            self.look(name, number, at, f"{kind} of {[len(one[1]) for one in files]} bytes")


FILES = {"picture": wild.picture, "sheet": wild.sheet, "lesson": wild.toml}
UPLOADS = {
    "my_sheet": (("sheet", "sheet_file_"),),
    "mark_sheets": (("sheet", "marking_files"),),
    "overview": (("lesson", "teach_file"),),
    "latent_space": (("picture", "latent_upload"),),
    "interpolation": (("picture", "interpolation_a_upload"), ("picture", "interpolation_b_upload")),
    "likelihood": (("picture", "likelihood_upload"),),
    "adding_noise": (("picture", "noise_upload"),),
    "t_star": (("picture", "tstar_upload"),),
    "inside_the_unet": (("picture", "inside_upload"),),
    "two_views": (("picture", "views_upload"),),
    "neighbours": (("picture", "near_upload"),),
}
"""By page: what its fields take, and how their keys begin."""


def uploads(name: str) -> tuple[tuple[str, str], ...]:
    return UPLOADS.get(name, ())


def _ends() -> tuple[str, ...]:
    """How names of controls end that many pages have."""
    folder = Path(__file__).parents[2] / "pages"
    found = {
        end for file in folder.rglob("*.py") for end in DEEPER.findall(file.read_text("utf-8"))
    }
    return tuple(sorted(found))


ENDS = _ends()


def prefixes(names: list[str]) -> list[str]:
    """What the names of controls begin with that say where a picture comes from."""
    return [name.removesuffix("_from") for name in names if name.endswith("_from")]


def controls_of(at: AppTest) -> dict[str, list[str]]:
    """By the name of each control in the address: values that it takes, as far as the page says them."""
    found = {key: list(said) for key, said in at.session_state[links.VISIT].stands.items()}
    for kind in CHOICES:
        for widget in getattr(at, kind):
            if widget.key in found:
                found[widget.key] += [str(one) for one in widget.options]
    for kind in NUMBERS:
        for widget in getattr(at, kind):
            if widget.key in found:
                found[widget.key] += [str(widget.min), str(widget.max)]
    return found


def shown(at: AppTest) -> tuple[tuple[str, ...], set[str]]:
    """What clean visits have in common: title and sentences in red; pictures."""
    return (*(one.value for one in at.title), *visits.errors(at)), {
        str(one.value) for one in at.image
    }


# ---------------------------------------------------------------- the script


def part_of(text: str) -> tuple[int, int]:
    """``2/5``: the second of five parts."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    place, parts = (int(one) for one in found.groups()) if found else (0, 0)
    if not 1 <= place <= parts:
        raise ValueError(f"part must be i/n with i from 1 to n, got {text!r}")
    return place, parts


class Done:
    """The blocks that a file says are done, and what was lost in them."""

    def __init__(self, file: Path | None, seed: int) -> None:
        self.file, self.seed = file, seed
        self.blocks: set[int] = set()
        self.said: list[str] = []
        for line in file.read_text(encoding="utf-8").splitlines() if file and file.exists() else ():
            held = json.loads(line)
            if held["seed"] == seed:
                self.blocks.add(held["block"])
                self.said += held["lost"]

    def note(self, block: int, lost: list[str]) -> None:
        self.blocks.add(block)
        if self.file is not None:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"seed": self.seed, "block": block, "lost": lost}) + "\n")


def blocks(count: int, place: int, parts: int) -> Iterator[int]:
    """The places of the blocks of a part."""
    return (block for block in range(-(-count // TOGETHER)) if block % parts == place - 1)


def main() -> int:
    parser = losses.arguments_of(__doc__, FULL, SHORT)
    parser.add_argument("--part", type=part_of, default=(1, 1), help="i/n: the i-th of n parts")
    parser.add_argument("--done", type=Path, help="a file that says what is done, to go on later")
    arguments = losses.read(parser)
    visits.quiet()
    warnings.simplefilter("ignore")
    counted, done = Losses(arguments.seed), Done(arguments.done, arguments.seed)
    counted.said += done.said
    with small_library() as library:
        os.environ["ATELIER_CHECKPOINTS"] = str(library / "checkpoints")
        run = Addresses(counted, FEW if arguments.short else tuple(PAGES))
        lesson = shelf.lessons().lessons["simsiam-45"]
        run.rooms = tuple(
            room.rooms().open_room("simsiam-45", room.options_of(lesson)) for _ in range(2)
        )
        if arguments.only is not None:
            run.case(run.names[arguments.only // TOGETHER % len(run.names)], arguments.only)
        for block in () if arguments.only is not None else blocks(arguments.count, *arguments.part):
            if block not in done.blocks:
                before = len(counted.said)
                run.block(block)
                done.note(block, counted.said[before:])
    tried = sum(counted.counts.values())
    return counted.conclude(f"{tried} visits, {len(done.blocks)} clean ones")


if __name__ == "__main__":
    sys.exit(main())
