"""Scripts that inject faults: their short forms lose nothing, and they see what they look for."""

import errno
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from core.bundles.bundle import read_bundle
from core.bundles.files import write_json
from core.errors import AtelierError
from tests.benchmarks import damage, disk
from tests.benchmarks.losses import Losses, arguments_of, read
from tests.benchmarks.sentences import faulty
from tests.pages.conftest import tiny_library  # noqa: F401 - a fixture

ROOT = Path(__file__).parents[1]


@pytest.fixture
def script(tiny_library):  # noqa: F811
    """Runs a script of ``tests/benchmarks``; its exit status and what it printed."""

    def run(name, *options):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "ATELIER_"))}
        done = subprocess.run(
            [sys.executable, f"tests/benchmarks/{name}.py", *options],
            cwd=ROOT,
            env=kept | {"ATELIER_TEST_LIBRARY": str(tiny_library.parents[1])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    return run


# ---------------------------------------------------------------- the short forms


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kills", "faults", "addresses"])
def test_the_short_form_loses_nothing(script, name):
    status, said = script(name, "--short")
    assert "lost: 0" in said, said
    assert status == 0


@pytest.mark.slow
def test_a_part_that_is_done_is_not_done_again(script, tmp_path):
    done = ["--count", "8", "--short", "--part", "2/2", "--done", str(tmp_path / "done")]
    assert "4 visits, 1 clean ones" in script("addresses", *done)[1]
    assert "0 visits, 1 clean ones" in script("addresses", *done)[1]


# ---------------------------------------------------------------- what they count


def test_what_was_lost_is_said_with_what_brings_it_about_again(capsys):
    counted = Losses(seed=7)
    counted.tried("kind", 3)
    assert counted.conclude("3 faults") == 0
    counted.lost(12, "kind", "half a file")
    assert counted.conclude("3 faults") == 1
    printed = capsys.readouterr().out
    assert "3 faults, seed 7" in printed
    assert "LOST: seed 7, case 12, kind: half a file" in printed


def test_the_chance_of_a_case_depends_on_seed_and_number_alone():
    drawn = [Losses(seed).chance(number).random() for seed in (0, 1) for number in (0, 1)]
    assert len({*drawn}) == 4
    assert Losses(1).chance(0).random() == drawn[2]


def test_the_count_is_the_full_one_or_the_short_one_or_the_one_that_is_asked_for():
    for words, count in (([], 500), (["--short"], 40), (["--short", "--count", "3"], 3)):
        assert read(arguments_of("Does it.", 500, 40), words).count == count
    with pytest.raises(SystemExit):
        read(arguments_of("Does it.", 500, 40), ["--count", "0"])


# ---------------------------------------------------------------- what they look for


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("The disk is full: state.pt could not be written.", False),
        ("The disk is full", True),
        ("Two\nlines.", True),
        ("The bundle {name} is damaged.", True),
        ("Traceback (most recent call last): no.", True),
        ("cannot identify <_io.BytesIO object at 0x7fb1a7e3c450>.", True),
        ("x" * 600 + ".", True),
        ("", True),
    ],
)
def test_a_sentence_is_one_line_that_ends_and_is_filled_in(words, wrong):
    assert faulty(words) is wrong


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<style>a { b: c }</style><div class='x'>1 &lt;script&gt; 2</div>", []),
        ("<script>alert(1)</script>", ["<script>"]),
        ("<b onclick='alert(1)'>x</b>", ["<b onclick=…>"]),
        ("<img src=x onerror=alert(1)>", ["<img onerror=…>"]),
        ("<a href=' java\nscript:alert(1)'>x</a>", ["<a href=…>"]),
        ("<svg/onload=alert(1)>", ["<svg onload=…>"]),
        ("<iframe src='//evil.example'/>", ["<iframe>"]),
    ],
)
def test_html_that_runs_something_is_seen(html, found):
    from tests.benchmarks import visits  # here: it imports all pages

    assert visits.foreign(html) == found


def page_with_markup():
    import streamlit as st

    st.html("<p>fine</p>")
    st.markdown("`![x](https://evil.example/a.png)` and [here](https://evil.example/b)")
    st.markdown("<b onclick=alert(1)>x</b>", unsafe_allow_html=True)
    st.button("![x](https://evil.example/c.png)")
    st.markdown("\\[x\\](https://evil.example/d) [ours](/home)")


def test_links_and_pictures_from_elsewhere_are_seen_where_markdown_makes_them():
    from streamlit.testing.v1 import AppTest

    from tests.benchmarks import visits

    at = AppTest.from_function(page_with_markup, default_timeout=visits.LONGEST).run()
    found = visits.foreign_on(at, "evil.example")
    assert found[0] == "<b onclick=…>"
    assert [one.split("example")[1] for one in found[1:]] == ["/b", "/c.png"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_disk_that_fails_leaves_the_old_file_and_names_it(tmp_path, number):
    write_json(tmp_path / "a.json", ["old"])
    for after in range(3):
        with pytest.raises(OSError, match=r"a\.json") as caught, disk.failing(number, after):
            write_json(tmp_path / "a.json", ["new"] * 3000)
        assert caught.value.errno == number
        assert (tmp_path / "a.json").read_text() == '[\n "old"\n]\n'
        assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    with disk.failing(number, after=30):
        write_json(tmp_path / "a.json", ["new"] * 3000)
    write_json(tmp_path / "a.json", ["as ever"])
    assert "as ever" in (tmp_path / "a.json").read_text()


WAYS = [damage.flipped, damage.cut, damage.swapped, damage.removed, damage.bomb, damage.edited]
WAYS += [damage.reshaped, damage.header, damage.drawn]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_bundle_that_came_to_harm_is_not_the_one_of_before(tiny_bundle, tmp_path, way):
    whole, changed = read_bundle(tiny_bundle).sha256, 0
    for number in range(8):
        copy = shutil.copytree(tiny_bundle, tmp_path / f"{number}")
        assert way(copy, random.Random(number))
        try:
            read_bundle(copy, expected=whole)
        except (AtelierError, SafetensorError):
            changed += 1
    assert changed >= 6
