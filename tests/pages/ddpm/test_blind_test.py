"""The blind test of VAE against DDPM: its order, its arithmetic, and that nothing tells before an answer."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from core.ddpm.restoration import COVERAGE
from pages.ddpm.parts import blind_test
from pages.shared import figures, library, loaders

PAGE = "vae_and_ddpm"
TWO, THREE = ("vae", "ddpm"), ("vae", "ddpm", "real")


def shown_picture(at):
    """Alt text, and the file, of the picture that is asked about."""
    (html,) = [e.proto.body for e in at.get("html") if "data:image/png" in e.proto.body]
    alt, encoded = re.search(r'alt="([^"]*)"', html)[1], re.search(r"base64,([^\"]*)", html)[1]
    return alt, base64.b64decode(encoded)


def pixels(file):
    return np.asarray(Image.open(io.BytesIO(file)))


def asked(at):
    return {b.key for b in at.button if b.key and b.key.startswith("against_blind_say_")}


def press(at, key):
    at.button(key=f"against_blind_{key}").click().run()
    assert not at.exception
    return at


def begun(open_page, **query):
    return press(open_page(PAGE, **query), "begin")


def answered(at, kinds):
    for place, kind in enumerate(kinds):
        press(at, f"say_{kind}")
        if place + 1 < len(kinds):
            press(at, "next")
    return at


# ---------------------------------------------------------------- order


@pytest.mark.parametrize("kinds", [TWO, THREE])
def test_who_counts_what_is_left_is_right_no_more_often(kinds):
    """Each picture is drawn by itself: that of which fewer came so far is not the likelier one."""
    right, asked = 0, 0
    for seed in range(300):
        found = blind_test.order(seed, 0, kinds)
        assert found == blind_test.order(seed, 0, kinds)
        assert len(found) == blind_test.LENGTH
        for place, was in enumerate(found):
            before = [found[:place].count(kind) for kind in kinds]
            right += kinds[int(np.argmin(before))] == was
            asked += 1
    low, high = stats.binom.interval(0.9999, asked, 1 / len(kinds))
    assert low <= right <= high


def test_no_place_has_a_kind_of_its_own():
    """Over many seeds every place of a round is the VAE's about half of the time."""
    orders = np.array([blind_test.order(seed, 0, TWO) for seed in range(400)])
    counts = (orders == "vae").sum(axis=0)
    low, high = stats.binom.interval(0.9999, 400, 0.5)
    assert ((counts >= low) & (counts <= high)).all()
    assert len({tuple(one) for one in orders}) > 300


def test_no_two_rounds_share_a_seed():
    seeds = [
        seed
        for test in (*range(50), 9998, 9999)
        for round_ in range(blind_test.ROUNDS)
        for kinds in (TWO, THREE)
        for seed in blind_test.seeds_of(test, round_, kinds)
    ]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) > 9999 + 64  # beyond what the grids of the page can show


# ---------------------------------------------------------------- arithmetic


def test_confusions_are_counted():
    counts = blind_test.confusion(
        ["vae", "ddpm", "ddpm", "vae"], ["vae", "vae", "ddpm", "vae"], TWO
    )
    np.testing.assert_array_equal(counts, [[2, 0], [1, 1]])


@pytest.mark.parametrize(("right", "count"), [(0, 12), (6, 12), (9, 12), (12, 12), (40, 60)])
def test_the_interval_is_wilsons(right, count):
    found = blind_test.score(np.array([[right, count - right], [0, 0]]))
    exact = stats.binomtest(right, count).proportion_ci(COVERAGE, method="wilson")
    np.testing.assert_allclose(found, [right, count, exact.low, exact.high], atol=1e-12)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([[6, 0], [0, 6]], blind_test.TOLD_APART),
        ([[4, 2], [2, 4]], blind_test.LUCK),
        ([[0, 6], [6, 0]], blind_test.TAKEN_FOR_ANOTHER),
        ([[3, 1, 0], [1, 3, 0], [0, 0, 4]], blind_test.TOLD_APART),
        ([[2, 1, 1], [2, 1, 1], [1, 1, 2]], blind_test.LUCK),
    ],
)
def test_the_share_is_compared_with_guessing(counts, words):
    said = blind_test.in_words(np.array(counts))
    assert words in said
    assert f"Guessing gives {100 / len(counts):.0f}%" in said
    assert words not in blind_test.in_words(np.array(counts), ended=False)


def test_files_of_pictures_are_equally_long(make_digits):
    flat = np.full((32, 32, 3), 90, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    files = [blind_test.plain_png(one) for one in (flat, noise)]
    assert len(files[0]) == len(files[1])
    for one, file in zip((flat, noise), files, strict=True):
        np.testing.assert_array_equal(pixels(file), one)


def test_a_second_press_means_the_same_picture():
    answers = blind_test.Answers(at=0)
    answers.answer(0, "vae")
    answers.answer(0, "ddpm")
    assert answers.said == ["vae"]
    answers.go_on(0)
    answers.go_on(0)
    assert answers.at == 1


# ---------------------------------------------------------------- on the page


def test_before_the_answer_the_page_does_not_hold_it(open_page):
    seen = set()
    at = begun(open_page)
    for place, kind in enumerate(blind_test.order(0, 0, TWO)):
        alt, file = shown_picture(at)
        assert asked(at) == {"against_blind_say_vae", "against_blind_say_ddpm"}
        texts = [str(e.value) for e in (*at.markdown, *at.caption, *at.success, *at.error)]
        assert not [text for text in texts if "It was" in text]
        seen.add((re.sub(r"\d+", "", alt), len(file)))
        press(at, "say_vae")
        told = [str(e.value) for e in (*at.success, *at.error) if "It was" in str(e.value)]
        assert ("VAE" in told[0].split("You")[0]) == (kind == "vae")
        assert bool(at.success) == (kind == "vae")
        assert not asked(at)  # one answer a picture
        if place < 11:
            press(at, "next")
    assert len(seen) == 1  # words and length of the file are the same for all


def test_a_link_gives_the_same_pictures_to_everyone(open_page):
    files = {}
    for visitor, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        at = begun(open_page, against_blind_seed=seed)
        files[visitor] = [shown_picture(at)[1]]
        press(press(at, "say_vae"), "next")
        files[visitor].append(shown_picture(at)[1])
    assert files["a"] == files["b"] != files["c"]


def test_pictures_are_the_models_own_and_new(open_page):
    at = begun(open_page)
    vae, ddpm = library.bundle("vae-svhn"), library.bundle("ddpm-svhn-1000")
    test = blind_test.BlindTest(vae, ddpm, 0, TWO)
    found, kinds = blind_test.pictures_of(test, 0), blind_test.order(0, 0, TWO)
    seeds = blind_test.seeds_of(0, 0, TWO)
    of_vae = loaders.vae("vae-svhn").sample(seeds[0], kinds.count("vae"))
    seeds = tuple(seeds[: kinds.count("ddpm")])
    of_ddpm = loaders.ddpm("ddpm-svhn-1000").denoise(blind_test.WAY, seeds).result
    np.testing.assert_array_equal(found[[k == "vae" for k in kinds]], of_vae)
    np.testing.assert_array_equal(found[[k == "ddpm" for k in kinds]], of_ddpm)
    np.testing.assert_array_equal(pixels(shown_picture(at)[1]), found[0])


def test_under_a_picture_of_the_round_stands_what_it_was_and_a_mark(open_page, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        figures, "strip", lambda pictures, labels, *_, **_more: drawn.append(labels)
    )
    kinds = blind_test.order(0, 0, TWO)
    wrong = "vae" if kinds[0] == "ddpm" else "ddpm"
    answered(begun(open_page), [wrong, *kinds[1:]])
    names = {"vae": "VAE", "ddpm": "DDPM"}
    first, *others = kinds
    assert drawn[-1] == [f"{names[first]} ×", *(names[kind] for kind in others)]


def test_the_own_table_counts_ones_answers(open_page):
    kinds = blind_test.order(0, 0, TWO)
    at = answered(begun(open_page), kinds[:5])
    assert not [t for t in at.dataframe if "it was" in t.value.columns]
    press(at, "next")
    wrong = "vae" if kinds[5] == "ddpm" else "ddpm"
    press(at, f"say_{wrong}")
    (table,) = [t.value for t in at.dataframe if "it was" in t.value.columns]
    counted = table.set_index("it was")[["you said: VAE", "you said: DDPM"]].astype(int)
    expected = blind_test.confusion(kinds[:6], [*kinds[:5], wrong], TWO)
    np.testing.assert_array_equal(counted.to_numpy(), expected)
    assert [m for m in at.markdown if "Right: 5 of 6" in str(m.value)]


def test_it_goes_on_with_another_round_and_begins_anew(open_page):
    at = answered(begun(open_page), blind_test.order(0, 0, TWO))
    assert [i for i in at.image for img in i.proto.imgs if img.alt == blind_test.ROUND]
    assert at.button(key="against_blind_next").label == "12 more"
    first = shown_picture(at)[1]
    press(at, "next")
    assert shown_picture(at)[0] == "Picture 13"
    assert shown_picture(at)[1] != first
    press(press(at, "say_vae"), "anew")
    assert at.button(key="against_blind_begin")
    assert not [t for t in at.dataframe if "it was" in t.value.columns]


def test_another_seed_begins_another_test(open_page):
    at = answered(begun(open_page), blind_test.order(0, 0, TWO)[:2])
    at.number_input(key="against_blind_seed").set_value(5).run()
    assert at.button(key="against_blind_begin")


def test_real_digits_are_a_third_answer_where_they_are_at_hand(open_page, monkeypatch, svhn_folder):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    at = begun(open_page)
    assert asked(at) == {f"against_blind_say_{kind}" for kind in THREE}
    kinds = blind_test.order(0, 0, THREE)
    test = blind_test.BlindTest(
        library.bundle("vae-svhn"), library.bundle("ddpm-svhn-1000"), 0, THREE
    )
    found = blind_test.pictures_of(test, 0)[[k == "real" for k in kinds]]
    bank = loaders.picture_set("svhn", "test").pictures
    places = [np.flatnonzero((bank == one).all(axis=(1, 2, 3))) for one in found]
    assert all(len(place) for place in places)
    assert len({int(place[0]) for place in places}) == kinds.count("real") > 0
    at.toggle(key="against_blind_real").set_value(False).run()
    assert asked(press(at, "begin")) == {f"against_blind_say_{kind}" for kind in TWO}
