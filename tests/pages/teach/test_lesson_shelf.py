"""Which lessons there are: a bad file costs itself alone, and a name never becomes a path."""

import pytest

from core.errors import AtelierError
from pages.shared import site
from pages.teach import shelf
from pages.teach.lesson import Lesson, Step, Words, write_lesson

SHIPPED = {"vae-45", "diffusion-45", "simsiam-45", "lab-2h"}


def lesson(name, page="collapse"):
    return Lesson(name, 1, Words("a", "b"), (Step(page, 1, Words("c", "d")),))


@pytest.fixture
def own(tmp_path, monkeypatch):
    folder = tmp_path / "lessons"
    folder.mkdir()
    monkeypatch.setenv("ATELIER_LESSONS", str(folder))
    return folder


def put(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")


def test_the_shipped_lessons_are_there(monkeypatch):
    monkeypatch.delenv("ATELIER_LESSONS", raising=False)
    found = shelf.lessons()
    assert set(found.lessons) == SHIPPED
    assert found.problems == ()


def test_those_of_a_folder_join_them(own):
    put(own, "mine.toml", write_lesson(lesson("mine")))
    put(own, "notes.txt", "no lesson")
    found = shelf.lessons()
    assert set(found.lessons) == SHIPPED | {"mine"}
    assert shelf.lesson("mine") == lesson("mine")


def test_a_bad_file_is_one_sentence_and_the_rest_works(own, tmp_path):
    secret = tmp_path / "secret.toml"
    secret.write_text(write_lesson(lesson("linked")), encoding="utf-8")
    (own / "linked.toml").symlink_to(secret)
    (own / "folder.toml").mkdir()
    (own / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    put(own, "good.toml", write_lesson(lesson("good")))
    put(own, "broken.toml", "id = ")
    put(own, "other.toml", write_lesson(lesson("name")))
    put(own, "Upper Case.toml", write_lesson(lesson("upper")))
    put(own, "large.toml", "#" * (shelf.LARGEST + 1))
    put(own, "vae-45.toml", write_lesson(lesson("vae-45")))
    put(own, "page.toml", write_lesson(lesson("page", page="nowhere")))
    found = shelf.lessons()
    assert set(found.lessons) == SHIPPED | {"good"}
    assert len(found.lessons["vae-45"].steps) > 1  # the app's own stays
    said = [str(problem) for problem in found.problems]
    assert len(said) == 9
    for name in ("linked", "folder", "bytes", "broken", "other", "Upper Case", "large", "vae-45"):
        assert sum(f"“{name}.toml”" in one for one in said) == 1
    (of_page,) = (one for one in said if "“page.toml”" in one)
    assert "Step 1" in of_page
    assert "page" in of_page


def test_a_folder_that_is_not_there_has_no_lessons(own):
    own.rmdir()
    assert set(shelf.lessons().lessons) == SHIPPED


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../secret", "/etc/passwd", "vae-45.toml", "VAE-45", "vae-45\0", "a" * 9999],
)
def test_a_name_is_looked_up_and_never_a_path(name, own):
    put(own.parent, "secret.toml", write_lesson(lesson("secret")))
    with pytest.raises(AtelierError) as caught:
        shelf.lesson(name)
    assert len(str(caught.value)) < 200


def test_a_step_says_which_page_it_opens():
    assert shelf.page_of(lesson("a"), 1) is site.COLLAPSE
    with pytest.raises(AtelierError, match=r"Step 1 .* page"):
        shelf.page_of(lesson("a", "nowhere"), 1)
