"""A lesson inside its link: what arrives is what was sent, less the answers; a hostile link is one sentence."""

import base64
import json
import random
import time
import tracemalloc
import zlib
from dataclasses import replace

import pytest

from core.errors import AtelierError
from pages.teach import link, shelf
from pages.teach.lesson import Ask, Lesson, Likely, Option, Stage, Step, Words, data_of
from pages.teach.link import LONGEST, MOST_BYTES, pack, unpack


def words(text):
    return Words(text, f"{text} en français")


def lesson(steps=2, text="A"):
    ask = Ask(
        "q",
        2,
        words("Which?"),
        (Option("a", words("this one")), Option("b", words("that one"))),
        "b",
        ("collapse_knn",),
        words("SECRET"),
        (Likely("a", words("MISTAKE")),),
    )
    return Lesson(
        "in-a-link",
        steps,
        words("Title"),
        tuple(
            Step("collapse", 1, words(f"{text} {n}"), ask=ask if n == 0 else None)
            for n in range(steps)
        ),
    )


def wrapped(content, level=9):
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
    small = deflate.compress(content) + deflate.flush()
    return "z:" + base64.urlsafe_b64encode(small).decode().rstrip("=")


def inside(text):
    """What anybody reads of a link, with no help of ours."""
    code = text[2:]
    return zlib.decompress(base64.urlsafe_b64decode(code + "=" * (-len(code) % 4)), -15).decode()


def test_with_answers_the_whole_lesson_arrives():
    assert unpack(pack(lesson(), answers=True)) == lesson()


def test_without_answers_nothing_of_them_is_in_the_link():
    text = pack(lesson())
    for said in ("SECRET", "MISTAKE", "right", "reveal", "collapse_knn", "likely", "why"):
        assert said not in inside(text)
    found = unpack(text).steps[0].ask
    assert (found.right, found.why, found.reveal, found.likely) == (None, None, (), ())
    assert found.options == lesson().steps[0].ask.options
    assert found.question == lesson().steps[0].ask.question


def test_without_answers_a_stage_has_only_what_it_asks_with():
    (step,) = lesson(steps=1).steps
    staged = replace(
        lesson(steps=1), steps=(replace(step, stage=Stage(("a",), ("b",), ("secret_figure",))),)
    )
    assert unpack(pack(staged, answers=True)) == staged
    assert "secret_figure" not in inside(pack(staged))
    assert unpack(pack(staged)).steps[0].stage == Stage(("a",), ("b",))


def test_a_link_has_signs_that_an_address_does_not_change():
    assert link.PACKED.fullmatch(pack(lesson(9, "é数—")))
    assert unpack(pack(lesson(9, "é数—"), answers=True)) == lesson(9, "é数—")


def unlike(count):
    """Characters that no compression makes much shorter."""
    source = random.Random(count)
    return "".join(chr(source.randint(0x4E00, 0x9000)) for _ in range(count))


def test_what_does_not_fit_is_said():
    assert len(pack(lesson(30, unlike(300)))) <= LONGEST  # one text thirty times
    steps = tuple(Step("collapse", 1, words(unlike(300 + n))) for n in range(9))
    with pytest.raises(AtelierError) as caught:
        pack(Lesson("big", 9, words("Title"), steps))
    assert caught.value.code == "lesson-link-long"


def bad_links():
    good = pack(lesson())
    plain = json.dumps(data_of(lesson())).encode()
    yield "nothing", ""
    yield "no beginning", good[2:]
    yield "only the beginning", "z:"
    yield "cut off", good[:-7]
    yield "one sign less", good[:-1]
    yield "something behind it", good + "AAAA"
    yield "a path", "z:../../etc/passwd"
    yield "a null", "z:\0"
    yield "other letters", "z:é" + good[2:]
    yield "a line", good + "\n"
    yield "padding", good + "="
    yield "too long", "z:" + "A" * LONGEST
    yield "no deflate", "z:" + base64.urlsafe_b64encode(b"hello there").decode().rstrip("=")
    yield "no JSON", wrapped(b"hello")
    yield "no text", wrapped(b"\xff\xfe\x00")
    yield "a list", wrapped(b"[]")
    yield "null", wrapped(b"null")
    yield "a bomb", wrapped(b" " * 2_000_000)
    yield "a lesson before a bomb", wrapped(plain + b" " * 2_000_000)
    yield "deep", wrapped(b"[" * 60_000)
    yield "deep tables", wrapped(b'{"a":' * 10_000)
    yield "a huge number", wrapped(b'{"minutes":' + b"9" * 60_000 + b"}")
    yield "not a number", wrapped(plain.replace(b'"minutes": 2', b'"minutes": NaN'))
    yield "infinite", wrapped(plain.replace(b'"minutes": 2', b'"minutes": 1e999'))
    yield "another field", wrapped(plain.replace(b'"title"', b'"__class__": 1, "title"'))
    yield "HTML", wrapped(plain.replace(b"Title", b"<script>alert(1)</script>"))
    yield "a picture", wrapped(plain.replace(b"Title", b"![](http://example.org/a.png)"))
    yield "a page elsewhere", wrapped(plain.replace(b'"collapse"', b'"//example.org"'))
    yield "a page that is none", wrapped(plain.replace(b'"collapse"', b'"nowhere"'))
    yield "half a letter", wrapped(plain.replace(b'"Title"', b'"\\ud800"'))


@pytest.mark.parametrize(
    "text", [one for _name, one in bad_links()], ids=[n for n, _ in bad_links()]
)
def test_a_bad_link_is_one_sentence(text):
    begun = time.process_time()
    with pytest.raises(AtelierError) as caught:
        shelf.lesson(text)
    said = str(caught.value)
    assert len(said) < 300
    assert not set(said) & set("<>\n")
    assert "example.org" not in said or "//" not in said
    assert time.process_time() - begun < 5  # a bomb would take far longer


def test_a_bomb_is_never_unpacked_whole():
    bomb = wrapped(b" " * 2_500_000)
    assert len(bomb) <= LONGEST
    tracemalloc.start()
    with pytest.raises(AtelierError):
        unpack(bomb)
    _now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10 * MOST_BYTES


def test_a_lesson_in_a_link_is_found_by_the_link():
    assert shelf.lesson(pack(lesson(), answers=True)) == lesson()
