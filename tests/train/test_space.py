import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from core.bundles.files import write_json
from core.errors import AtelierError
from train.__main__ import main
from train.release import space

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder, *command):
    name = ["-c", "user.name=A", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *name, *command], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """A repository with one small file for every part of a Space, and others besides."""
    folder = tmp_path / "repository"
    for part in (*space.PARTS, "tests", "runs"):
        path = folder / part
        if "." in part.removeprefix(".") or part in (".dockerignore", "Dockerfile", "LICENSE"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{part} é\n", encoding="utf-8")
        else:
            (path / "deep").mkdir(parents=True)
            (path / "deep" / "a file").write_text(part)
    write_json(folder / "checkpoints" / "manifest.json", {"format": 1, "bundles": []})
    git(tmp_path, "init", "-q", str(folder))
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "all")
    return folder


def test_the_space_holds_what_the_app_needs_and_nothing_else(repository):
    (repository / "core" / "notes.txt").write_text("not tracked")
    files = space.space_files(repository)
    assert {path.split("/")[0] for path in files} == set(space.PARTS)
    assert "core/deep/a file" in files
    assert "core/notes.txt" not in files
    assert files["app.py"] == repository / "app.py"


def test_the_readme_starts_with_what_the_hub_reads(repository):
    written = space.space_files(repository)["README.md"].decode()
    start, head, rest = written.split("---\n", 2)
    about = yaml.safe_load(head)
    assert start == ""
    assert (about["sdk"], about["app_port"]) == ("docker", 8501)
    assert about["title"] == "Latent Atelier"
    assert len(about["short_description"]) <= 60
    assert set(about["datasets"]) == {"ufldl-stanford/svhn", "uoft-cs/cifar10"}
    assert "models" not in about
    assert rest == "\nREADME.md é\n"


def test_models_of_the_hub_are_named_in_the_readme(repository):
    entry = {
        "family": "vae",
        "title": "A",
        "revision": "0" * 40,
        "sha256": {"config.json": "0" * 64},
    }
    bundles = [{"name": name, "repo": repo, **entry} for name, repo in (("b", "u/b"), ("a", "u/a"))]
    write_json(repository / "checkpoints" / "manifest.json", {"format": 1, "bundles": bundles})
    head = space.readme(repository).split("---\n")[1]
    assert yaml.safe_load(head)["models"] == ["u/a", "u/b"]


@pytest.mark.parametrize("part", ["Dockerfile", "core"])
def test_a_part_that_is_not_tracked_is_named(repository, part):
    git(repository, "rm", "-r", "-q", "--cached", part)
    with pytest.raises(AtelierError, match=part) as caught:
        space.space_files(repository)
    assert caught.value.code == "space-missing"


def test_a_tracked_file_that_is_gone_is_named(repository):
    (repository / "core" / "deep" / "a file").unlink()
    with pytest.raises(AtelierError, match="core/deep/a file") as caught:
        space.space_files(repository)
    assert caught.value.code == "space-missing"


def test_a_folder_without_a_repository_is_told(tmp_path):
    with pytest.raises(AtelierError) as caught:
        space.space_files(tmp_path)
    assert caught.value.code == "space-no-repository"


def test_the_message_says_when_files_differ_from_the_commit(repository):
    clean = space.revision(repository)
    (repository / "app.py").write_text("changed")
    assert space.revision(repository) == f"{clean}, changed"


def test_a_dry_run_lists_every_file_and_sends_nothing(monkeypatch, repository, capsys):
    monkeypatch.setattr(space, "ROOT", repository)
    assert main(["space", "--repo", "user/name", "--dry-run"]) == 0
    *lines, summary = capsys.readouterr().out.splitlines()
    files = space.space_files(repository)
    assert [line.split(None, 1)[1] for line in lines] == list(files)
    assert sum(int(line.split()[0].replace(",", "")) for line in lines) == sum(
        len(content) if isinstance(content, bytes) else content.stat().st_size
        for content in files.values()
    )
    assert summary.startswith(f"{len(files)} files, ")


def test_without_a_token_the_command_says_so(monkeypatch, repository, capsys):
    monkeypatch.setattr(space, "ROOT", repository)
    assert main(["space", "--repo", "user/name"]) == 1
    assert "hf auth login" in capsys.readouterr().err


def test_the_port_is_that_of_the_dockerfile():
    about = yaml.safe_load(space.FRONT_MATTER.read_text(encoding="utf-8").split("---\n")[1])
    assert f"EXPOSE {about['app_port']}\n" in (ROOT / "Dockerfile").read_text()


@pytest.fixture
def own_repository(tmp_path):
    """This project's repository; where its files came without one, a new one of the parts of a Space."""
    if (ROOT / ".git").exists():
        return ROOT
    made = tmp_path / "of the same files"
    made.mkdir()
    shutil.copy(ROOT / ".gitignore", made)
    for part in space.PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        (made / part).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / part, made / part)
    git(tmp_path, "init", "-q", str(made))
    git(made, "add", "--all")
    return made


def test_links_of_the_readme_lead_into_the_space(own_repository):
    files = space.space_files(own_repository)
    text = files["README.md"].decode()
    links = set(re.findall(r"\]\((?!http)([^)#]+)\)", text))
    assert links
    assert links <= set(files)


def test_every_split_of_a_data_set_is_found_or_fetched(monkeypatch, svhn_folder, capsys):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    assert main(["data", "svhn"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["svhn train", "svhn test"]
    assert main(["data", "svhn", "cifar10"]) == 1
    assert "uoft-cs/cifar10" in capsys.readouterr().err
