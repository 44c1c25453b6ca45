"""VAE against DDPM: what the page concludes is what its figures say, whatever they are."""

import json
import re
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.bundles.manifest import register
from core.ddpm.explorer import SamplerSettings
from core.ddpm.restoration import wilson
from core.families import open_bundle, read_manifest
from core.pictures import data
from core.resumable import Resumable
from pages.ddpm import vae_and_ddpm
from pages.ddpm.parts import copies, final_figures, judge_trust, samples
from pages.shared import library, live, loaders
from tests.pages.opening import answered
from tests.pages.sentences import like

PAGE = "vae_and_ddpm"
VAE, DDPM = "vae-svhn", "ddpm-svhn-1000"
BLURRED_BUT_SURE = {
    "sure": 0.34,
    "diversity": 0.76,
    "frechet": 1.5,
    "sharpness": 3.9,
    "sharpness_of_test": 7.1,
}
"""Figures of a VAE that the judge reads more often than a weak diffusion model."""
MANY = {"against_count": "32", "against_way": "DDIM 20", "against_seed": "50"}
"""Samples that are not drawn before a click."""


def said(at, sentence, **values):
    """The text with that sentence in it."""
    texts = [*at.markdown, *at.info, *at.caption, *at.error, *at.warning]
    wanted = like(sentence, **values)
    return next((str(e.value) for e in texts if wanted.search(str(e.value))), "")


def in_the_lead(at):
    """Which of two models is ahead in what."""
    return said(at, final_figures.OVER_SAMPLES)


def vae_answered(at):
    """What the page says of the digits of the VAE and of their sharpness."""
    found = (said(at, words, model="VAE") for words in vae_and_ddpm.DIGITS.values())
    return next(filter(None, found), "")


def shown(at, alt):
    return [img.url for image in at.image for img in image.proto.imgs if img.alt == alt]


def final_table(at):
    """A line a set of pictures, as measures are lines on the page."""
    nearest = final_figures.TO_THE_NEAREST
    tables = (t.value for t in at.dataframe if "measure" in t.value.columns)
    return next(t for t in tables if nearest in list(t["measure"])).set_index("measure").T


def chart(at):
    return json.loads(at.get("plotly_chart")[0].proto.spec)["data"]


def stored(name):
    return library.bundle(name).metrics["judged"]["samples"]


@pytest.fixture
def with_figures(monkeypatch, tmp_path, tiny_library):
    """The library, one of its bundles with other figures of the judge or other digits seen."""

    def change(name, digits=None, **figures):
        place = tmp_path / "checkpoints"
        if not place.exists():
            shutil.copytree(tiny_library, place)
        folder, manifest = place / name, place / "manifest.json"
        metrics = json.loads((folder / "metrics.json").read_text())
        metrics["judged"]["samples"] |= figures
        (folder / "metrics.json").write_text(json.dumps(metrics))
        if digits is not None:
            profiles = load_file(folder / "profiles.safetensors")
            profiles["judged_digits"] = np.array(digits, dtype=np.int64)
            save_file(profiles, folder / "profiles.safetensors")
        entry = next(e for e in read_manifest(manifest).entries if e.name == name)
        register(manifest, open_bundle(folder), name=name, title=entry.title)
        monkeypatch.setenv("ATELIER_CHECKPOINTS", str(place))

    return change


# ---------------------------------------------------------------- what it concludes


def test_the_result_is_that_of_the_final_figures(open_page, with_figures):
    with_figures(VAE, **BLURRED_BUT_SURE)
    others = {"sure": 0.1, "diversity": 0.6, "frechet": 1.9, "sharpness": 7.1}
    with_figures(DDPM, **BLURRED_BUT_SURE | others)
    words = in_the_lead(open_page(PAGE))
    ahead = final_figures.AHEAD.split("{measures}")[0]
    vae, ddpm = words.split(ahead.format(model="DDPM, T = 1000"))
    over = final_figures.OVER_SAMPLES.format(count=stored(VAE)["samples"])
    assert vae.startswith(f"{over} {ahead.format(model='VAE')}")
    better = stored(VAE)

    def against(a, b, words):
        return like(final_figures.AGAINST, a=a, b=b).search(words)

    assert against(f"{100 * better['sure']:.1f}%", "10.0%", vae)
    assert against(f"{better['diversity']:.2f}", "0.60", vae)
    assert against(f"{better['frechet']:.2f}", "1.90", vae)
    assert against("7.1", f"{better['sharpness']:.1f}", ddpm)


def test_a_better_diffusion_model_is_said_to_be_better(open_page, with_figures):
    with_figures(VAE, **BLURRED_BUT_SURE)
    others = {"sure": 0.7, "diversity": 0.97, "frechet": 0.4, "sharpness": 7.0}
    with_figures(DDPM, **BLURRED_BUT_SURE | others)
    words = in_the_lead(open_page(PAGE))
    assert not like(final_figures.AHEAD, model="VAE").search(words)
    assert not like(final_figures.NEITHER_AHEAD).search(words)
    sure = like(final_figures.AGAINST, measure=final_figures.NAMES["sure"], a="70.0%").pattern
    ahead = final_figures.AHEAD.split("{measures}")[0].format(model="DDPM, T = 1000")
    assert re.search(re.escape(ahead) + sure, words)


def test_figures_that_hardly_differ_put_neither_ahead(open_page, with_figures):
    of_vae = stored(VAE)
    of_vae["sure"] += 0.01
    of_vae["frechet"] *= 1.02
    with_figures(
        DDPM, **{name: of_vae[name] for name in ("sure", "diversity", "frechet", "sharpness")}
    )
    words = in_the_lead(open_page(PAGE))
    assert not like(final_figures.AHEAD, model="VAE").search(words)
    assert "**DDPM" not in words
    assert len(like(final_figures.AGAINST).findall(words)) == 4


@pytest.mark.parametrize("sure_from", ["0.3", "0.9", "1.0"])
def test_the_share_of_digits_is_put_in_words_with_its_interval(open_page, sure_from):
    at = answered(open_page(PAGE, against_sure=sure_from), "against_digits")
    drawn = loaders.vae_samples(VAE, 0, 16).value
    found = loaders.judge().quality(drawn, sure_from=float(sure_from))
    word = "yes" if found.sure >= 0.5 else "some" if found.sure >= 0.2 else "hardly"
    words = said(at, vae_and_ddpm.DIGITS[word], model="VAE")
    low, high = wilson(np.float64(found.sure), 16)
    counts = {"p": f"{float(sure_from):.2f}", "sure": round(16 * found.sure), "count": 16}
    ends = {"low": f"{100 * low:.0f}%", "high": f"{100 * high:.0f}%"}
    assert like(vae_and_ddpm.SURE_OF, **counts, **ends).search(words)
    assert said(at, vae_and_ddpm.SCALE, much="50%", little="20%")


def test_what_counts_as_blurred_is_moved_by_a_slider(open_page, with_figures):
    sharpness = loaders.judge().quality(loaders.vae_samples(VAE, 0, 16).value).sharpness
    with_figures(VAE, sharpness_of_test=sharpness / 0.6)
    at = open_page(PAGE)
    assert not vae_answered(at)  # asked first
    answered(at, "against_digits")
    blurred = f"{vae_and_ddpm.BLUR['yes']} {vae_and_ddpm.PIXELS_DIFFER}"
    assert like(blurred, share="60%", limit="85%").search(vae_answered(at))
    at.slider(key="against_blurred").set_value(0.3).run()
    sharp = [vae_and_ddpm.BLUR[code] for code in ("no", "noise")]
    assert like(*sharp).search(vae_answered(at))
    link = answered(open_page(PAGE, against_blurred="0.3"), "against_digits")
    assert vae_answered(link) == vae_answered(at)


@pytest.mark.parametrize(
    ("sharpness", "found", "share"),
    [(8.4, "yes", "84%"), (8.6, "no", "86%"), (11.7, "no", "117%"), (11.9, "noise", "119%")],
)
def test_sharpness_in_words(sharpness, found, share):
    words = vae_and_ddpm.BLUR[found].format(share=share)
    assert vae_and_ddpm.blur_answer(sharpness, 10.0, 0.85).startswith(words)


# ---------------------------------------------------------------- the Frechet distance


def test_few_samples_are_not_compared_by_their_frechet_distance(open_page):
    chance = loaders.judge().test_digits().distance_of_draws(16)
    few = {"count": 16, "chance": f"{chance:.1f}"}
    words = said(open_page(PAGE), vae_and_ddpm.FEW_INFLATE, **few)
    assert words
    assert "compare these two" not in words


def test_the_distance_of_real_pictures_is_no_limit_and_says_what_it_is(open_page):
    at = open_page(PAGE)
    real = loaders.judge().bundle.metrics["features"]
    known = real["frechet_training_pictures"], real["frechet_training_against_test"]
    count, training = f"{known[0]:,}", f"{known[1]:.2f}"
    assert said(at, final_figures.FRECHET, count=count, training=training)
    half = library.bundle(VAE).config["data"]["test_pictures"] // 2
    assert said(at, final_figures.FRECHET, half=half, rest=half)
    assert not said(at, "no set of samples can be expected")


# ---------------------------------------------------------------- digits


def test_the_chart_is_of_the_stored_samples_and_says_of_how_many(open_page):
    data = chart(open_page(PAGE, **MANY))
    digits, digits_of_test = (
        library.bundle(VAE).profiles[name] for name in ("judged_digits", "judged_digits_of_test")
    )
    bars = [series for series in data if series["type"] == "bar"]
    tested = library.bundle(VAE).config["data"]["test_pictures"]
    assert [bar["name"] for bar in bars] == [
        f"VAE: {digits.sum()} of {stored(VAE)['samples']} stored",
        f"DDPM: {library.bundle(DDPM).profiles['judged_digits'].sum()} of "
        f"{stored(DDPM)['samples']} stored",
        f"test digits: {digits_of_test.sum():,} of {tested}",
    ]
    above = [series["name"] for series in data if series["type"] == "scatter"]
    found = loaders.judge().quality(loaders.vae_samples(VAE, 50, 32).value)
    assert above == [f"VAE: {found.digits.sum()} of 32 above"]


@pytest.fixture
def without_digits(monkeypatch):
    """Lets the judge's bundle say something else of pictures without a digit."""

    def set_to(sure, most_read):
        figures = {"pictures": 100, "sure": sure, "most_read": most_read}
        quiet = {"pictures": 100, "sure": 0.0, "most_read": 8}
        bundle = loaders.judge().bundle
        changed = {"wiped": quiet, "scrambled": quiet, "clouds": figures}
        monkeypatch.setitem(bundle.metrics, "digitless", changed)

    return set_to


def test_an_answer_that_the_judge_gives_to_emptiness_is_warned_of(
    open_page, with_figures, without_digits
):
    def warned():
        said_so = [str(element.value) for element in open_page(PAGE).warning]
        of_ddpm = like(vae_and_ddpm.READ_AS_A_BLANK, model="DDPM")
        return next((words for words in said_so if of_ddpm.match(words)), "")

    with_figures(DDPM, digits=[20, 20, 180, *[20] * 7])
    without_digits(sure=0.3, most_read=2)
    wanted = vae_and_ddpm.READ_AS_A_BLANK.format(
        model="DDPM", share="50%", digit=2, kind=vae_and_ddpm.EMPTY["clouds"], sure="30%"
    )
    assert warned().startswith(wanted)
    without_digits(sure=0.3, most_read=1)
    assert not warned()
    without_digits(sure=0.04, most_read=2)
    assert not warned()
    with_figures(DDPM, digits=[20, 20, 40, *[20] * 7])
    without_digits(sure=0.3, most_read=2)
    assert not warned()


def test_what_the_judge_reads_in_flat_pictures_is_said(open_page):
    flat = loaders.flat()
    counts = np.bincount(flat.digit)
    shares = {"share": f"{100 * counts.max() / 64:.0f}%", "sure": f"{100 * flat.sure.mean():.0f}%"}
    assert said(open_page(PAGE), judge_trust.FLAT, count=64, digit=counts.argmax(), **shares)


def test_how_sure_the_judge_is_without_a_digit_is_said(open_page):
    empty = loaders.judge().bundle.metrics["digitless"]
    shares = {kind: f"{empty[kind]['sure']:.1%}" for kind in ("wiped", "scrambled", "clouds")}
    assert said(open_page(PAGE), judge_trust.WITHOUT_A_DIGIT, **shares)


# ---------------------------------------------------------------- the final table


def test_the_table_has_digits_seen_and_seconds(open_page, with_figures):
    with_figures(DDPM, digits=[1, 140, 30, 30, 20, 10, 5, 10, 6, 3])
    at = open_page(PAGE)
    table = final_table(at)
    assert table["digits seen"].loc["DDPM, T = 1000"] == "7"  # 2 % of 255 are 5.1
    lengths = [library.bundle(f"ddpm-svhn-{T}") for T in (500, 1000, 1500)]
    seconds = 50 * np.median([of.metrics["timing"]["seconds_a_step"] for of in lengths])
    for T in (500, 1000, 1500):  # one network: one time, as on the page of these three
        assert table["seconds per sample"].loc[f"DDPM, T = {T}"] == f"{seconds:.4f}"
    assert 0 < float(table["seconds per sample"].loc["VAE"]) < seconds
    assert said(at, final_figures.SECONDS, count=16)


def test_models_stand_in_the_order_of_t(open_page):
    at = open_page(PAGE)
    titles = [f"DDPM, T = {T}" for T in (500, 1000, 1500)]
    assert list(final_table(at).index) == ["VAE", *titles, "test digits"]
    choice = at.selectbox(key="against_ddpm")
    assert [title.rsplit(", ")[-1] for title in choice.options] == [
        "T = 500",
        "T = 1000",
        "T = 1500",
    ]
    assert choice.value == DDPM
    assert len([c.value for c in at.caption if "ddpm-svhn-500" in str(c.value)]) == 1


# ---------------------------------------------------------------- copies


def test_distances_to_training_pictures_are_each_models_own(open_page, with_figures):
    with_figures(VAE, **BLURRED_BUT_SURE, nearest_training=18.4, nearest_training_of_test=24.2)
    with_figures(DDPM, **BLURRED_BUT_SURE | {"sharpness": 7.1})
    at = open_page(PAGE, **MANY)
    words = said(at, copies.DISTANCES)
    for title, name in (("VAE", VAE), ("DDPM", DDPM)):
        assert f"**{title}**: {stored(name)['nearest_training']:.1f}," in words
    assert words.count(copies.NEAR_AS_BLURRED) == 1
    vae = words.split("**DDPM**")[0]
    assert copies.NEAR_AS_BLURRED in vae
    share = copies.SHARE_OF_REAL
    table = next(t.value for t in at.dataframe if share in t.value.columns)
    assert table.set_index("pictures of")[share].loc["VAE"] == f"{100 * 18.4 / 24.2:.0f}%"


@pytest.mark.parametrize(
    ("distance", "found"), [(4.0, "may be"), (15.0, "as a rule not"), (25.0, "no sign")]
)
def test_what_a_distance_tells_of_copies(distance, found):
    figures = {"sharpness": 7.0, "sharpness_of_test": 7.1}
    figures |= {"nearest_training": distance, "nearest_training_of_test": 24.0}
    said_of_it = copies.in_words("It", figures, 0.85)
    assert like(copies.DISTANT[found], model="It").fullmatch(said_of_it)
    blurred = copies.in_words("It", figures | {"sharpness": 3.0}, 0.85)
    assert (copies.NEAR_AS_BLURRED in blurred) == (12.0 < distance < 24.0)


def test_the_pairs_are_those_nearest_to_the_training_set(open_page, monkeypatch, svhn_folder):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    at = open_page(PAGE)
    assert len(shown(at, copies.NEAREST)) == 2
    bank = data.load_split("svhn", "train").pictures.astype(float)
    drawn = loaders.vae_samples(VAE, 0, 16).value.astype(float)
    apart = np.sqrt(((drawn[:, None] - bank[None]) ** 2).mean(axis=(2, 3, 4)))  # (16, 64)
    found = loaders.nearest_pictures("svhn", "train", loaders.vae_samples(VAE, 0, 16).value)
    np.testing.assert_allclose(found.distance, apart.min(axis=1))
    at = open_page(PAGE, **MANY)
    assert len(shown(at, copies.NEAREST)) == 1
    saved = {button.key for button in at.get("download_button")}
    assert {"nearest_training_png", "nearest_training_csv"} <= saved


# ---------------------------------------------------------------- how they compare


def test_what_leads_come_to():
    titles, even = ("A", "B"), dict.fromkeys(("sure", "diversity", "frechet", "sharpness"), 0)

    def words(**ahead):
        return final_figures.conclusion(titles, even | ahead)

    said = final_figures.CONCLUSIONS
    assert words() == said["alike"]
    assert words(sharpness=-1, frechet=-1) == said["better, digits alike"].format(model="B")
    assert words(sure=1, frechet=1) == said["better"].format(model="A")
    assert words(sure=1, sharpness=-1) == said["mixed"].format(reader="A", other="B")
    assert words(sure=-1, sharpness=1) == said["mixed"].format(reader="B", other="A")
    assert words(sharpness=1, frechet=-1) == said["mixed, digits alike"]


@pytest.mark.parametrize(
    ("sure", "found", "best"), [((0.45, 0.44), "behind", "45%"), ((0.2, 0.92), "as often", "92%")]
)
def test_how_far_real_digits_are(sure, found, best):
    stored_of = [{"sure": one, "sure_of_test": 0.913, "samples": 2000} for one in sure]
    said_of_it = final_figures.far_from_real(("A", "B"), stored_of)
    model = "A" if sure[0] > sure[1] else "B"
    assert like(final_figures.FAR[found], sure=best, model=model).fullmatch(said_of_it)


def test_the_first_line_says_how_many_samples_can_be_read(open_page, with_figures):
    with_figures(VAE, sure=0.448, sure_of_test=0.9134)
    with_figures(DDPM, sure=0.4425)
    shares = vae_and_ddpm.HONEST.format(vae="45%", ddpm="44%", real="91%")
    assert said(open_page(PAGE), f"{shares} {samples.IN_ORDER}", first=0, last=15)


# ---------------------------------------------------------------- many samples


def test_the_button_stands_where_its_samples_will(open_page):
    at = open_page(PAGE, **MANY)
    button = at.button(key="against_go")
    assert button.label.startswith("Draw 32 pictures")
    (column,) = [c for c in at.columns if any(b.key == "against_go" for b in c.button)]
    assert [str(e.value) for e in column.subheader] == ["DDPM"]
    button.click().run()
    assert not at.exception
    assert not [button for button in at.button if button.key == "against_go"]


def test_samples_that_were_stopped_go_on_to_the_same_pictures(open_page):
    way, seeds = SamplerSettings("ddim", 20), tuple(range(50, 82))
    at = open_page(PAGE, **MANY)
    explorer = loaders.ddpm(DDPM)
    work = Resumable(explorer.denoise_steps(way, seeds))
    for path in work.advance():
        if path.done == 3:
            break
    library.answers("against", live.MOST_KEPT).put((explorer.bundle.digest, way, seeds), work)
    at.run()
    assert said(at, "3 of 20 steps are done")
    assert not shown(at, "Samples of DDPM")
    at.button(key="against_on").click().run()
    assert not at.exception
    assert shown(at, "Samples of DDPM")
    whole = explorer.denoise(way, seeds)
    np.testing.assert_array_equal(loaders.samples(DDPM, way, seeds).value, whole.result)
