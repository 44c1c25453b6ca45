"""The README and docs/ are kept true: the tree, the commands, the figures, the code."""

import re
import shlex
from pathlib import Path

import pytest

from core.families import read_manifest
from train.release import tables

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
README, MODELS, TRAINING = (
    PAGES[name] for name in ("README.md", "docs/models.md", "docs/training.md")
)
MANIFEST = read_manifest(ROOT / "checkpoints" / "manifest.json")
BUNDLE = MANIFEST.open("vae-svhn")


def block(after):
    """The first fenced block after a heading."""
    return re.search(r"```\w*\n(.*?)```", README[README.index(after) :], re.S)[1]


def tree():
    """Paths that the annotated tree names."""
    folders, paths = [], []
    for line in block("## The tree").splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()
        folders = folders[: len(indent) // 2]
        paths.append("".join(folders) + name)
        folders.append(name)
    return paths


def test_everything_in_the_tree_exists():
    assert [path for path in tree() if not (ROOT / path).exists()] == []


def test_every_folder_of_modules_is_in_the_tree():
    folders = {
        f"{file.parent.relative_to(ROOT).as_posix()}/"
        for room in ("core", "pages", "train")
        for file in (ROOT / room).rglob("*.py")
    }
    assert sorted(folders - set(tree())) == []


def test_every_line_of_the_tree_says_what_it_is():
    assert all(len(line.split()) >= 3 for line in block("## The tree").splitlines())


def test_the_readme_is_one_page():
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("page", ["README.md", "docs/training.md"])
def test_the_training_commands_are_understood(page):
    from train.__main__ import build_parser

    commands = [
        line.split("#")[0].strip()
        for line in PAGES[page].splitlines()
        if line.startswith(("python -m train", "torchrun"))
    ]
    assert len(commands) >= 3
    for command in commands:
        words = shlex.split(command)
        build_parser().parse_args(words[words.index("-m") + 2 :])


@pytest.mark.parametrize("file", ["README.md", "docs/deploy.md"])
def test_the_commands_that_deploy_are_understood(file):
    from train.__main__ import build_parser

    text = (ROOT / file).read_text(encoding="utf-8")
    commands = re.findall(r"python -m train ((?:data|space) [^#`\n]*)", text)
    assert commands
    for command in commands:
        build_parser().parse_args(shlex.split(command))


def test_the_figures_are_those_of_the_bundle():
    test, linear = BUNDLE.metrics["test"], BUNDLE.metrics["linear_model"]
    for value in (test["negative_elbo"], test["nll"], linear["nll"]):
        assert f"{value:,.1f}" in MODELS
    assert f"{test['kl']:.1f}" in MODELS
    assert f"{test['mse']:.4f}" in MODELS
    for row in BUNDLE.metrics["importance_weighted"]:
        assert f"{row['nll']:,.1f}" in MODELS


def test_the_figures_of_the_diffusion_models_are_those_of_their_bundles():
    for entry in MANIFEST.of_family("ddpm"):
        bundle = MANIFEST.open(entry.name)
        metrics, T = bundle.metrics, bundle.config["architecture"]["schedule"]["T"]
        row = next(line for line in MODELS.splitlines() if line.startswith(f"| {T} |"))
        for value, digits in (
            (metrics["test"]["eps_mse"], 4),
            (metrics["samples"]["frechet_pixel_components"], 1),
            (metrics["samples"]["sharpness"], 1),
            (metrics["timing"]["seconds_a_picture_all_steps"], 2),
        ):
            assert f" {value:.{digits}f} " in row
        floor = metrics["samples"]["frechet_real_against_real"]
        assert f"{floor:.1f}" in MODELS
        assert f" {len(bundle.history)} |" in row


def test_the_tables_are_those_that_the_command_writes():
    names = []
    for page in tables.PAGES:
        text = page.read_text(encoding="utf-8")
        assert tables.rewritten(text, MANIFEST) == text, "run `python -m train tables`"
        names += re.findall("<!-- table ([a-z-]+) -->", text)
    assert sorted(names) == sorted(tables.TABLES)


def test_the_code_of_the_readme_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    names = run_code(README)
    assert int(names["t"].max()) == -1
    assert all(p.grad is not None for p in names["model"].parameters())


@pytest.mark.slow
def test_the_code_of_the_docs_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert int(run_code(PAGES["docs/code.md"])["last"].t.max()) == -1


def run_code(page):
    """What the names stand for after all Python blocks of a page, one after the other."""
    names = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(code, names)
    return names


def test_pictures_are_there():
    for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README):
        assert (ROOT / name).is_file()


@pytest.mark.parametrize("file", [*PAGES, "CONTRIBUTING.md", "checkpoints/README.md"])
def test_links_lead_somewhere(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert ((ROOT / file).parent / target).exists()


def test_the_figures_of_the_judge_are_those_of_the_bundles():
    test = MANIFEST.open("judge-svhn").metrics["test"]
    for value in (f"{test['accuracy']:.1%}", f"{test['calibration_error']:.3f}"):
        assert value in MODELS
    for name in ("vae-svhn", "ddpm-svhn-500", "ddpm-svhn-1000", "ddpm-svhn-1500"):
        samples = MANIFEST.open(name).metrics["judged"]["samples"]
        row = (
            f"{samples['sure']:.1%} | {samples['sharpness']:.2f} | {samples['diversity']:.3f} | "
            f"{samples['frechet']:.2f} | {samples['nearest_training']:.1f}"
        )
        assert row in MODELS, name
    judged = MANIFEST.open("ddpm-svhn-1000").metrics["judged"]
    highest = int(MANIFEST.open("ddpm-svhn-1000").profiles["t_star_levels"][-1])
    for measure in ("digit", "psnr", "ssim", "features"):
        quartiles = judged["t_star"][measure]["quartiles"]
        shown = [f"> {highest + 1}" if t >= 1000 else f"{t + 1:.0f}" for t in quartiles]
        assert f"| {' | '.join(shown)} |" in MODELS, measure
    for kind in ("clean", "fgsm", "pgd"):
        assert f"{judged['purification'][f'accuracy_{kind}']:.1%}" in MODELS


def test_the_names_of_the_glossary_stand_in_the_code():
    """A word of its third column is a name, a module, or a file."""
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for room in ("core", "pages", "train")
        for path in (ROOT / room).rglob("*.py")
    )
    rows = [line.split("|")[3] for line in PAGES["docs/glossary.md"].splitlines() if "|" in line]
    names = [name for cell in rows[2:] for name in re.findall("`([^`]+)`", cell)]
    assert len(names) > 25
    for name in names:
        place = ROOT / name.replace(".", "/")
        last = name.split(".")[-1].split(":")[0]
        known = re.search(rf"\b{re.escape(last)}\b", code) or last in code
        assert known or place.exists() or (ROOT / name).exists(), name
