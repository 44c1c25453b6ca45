"""Puts the app on a Hugging Face Space: what it needs of this repository, in one commit."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from core.bundles import hub, remote
from core.errors import AtelierError
from core.families import read_manifest

ROOT = Path(__file__).parents[2]
FRONT_MATTER = Path(__file__).with_name("space.md")
"""What the Hub reads at the head of a Space's README: which kind of Space it is, and its port."""

PARTS = (
    ".dockerignore",
    ".streamlit",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "app.py",
    "checkpoints",
    "core",
    "docs",
    "pages",
    "pyproject.toml",
    "requirements.txt",
    "train",
)
"""What the Dockerfile copies, what it is built by, and what the README shows and links to."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repo", required=True, help="the Space: user/name")
    parser.add_argument("--dry-run", action="store_true", help="list the files, send nothing")
    parser.add_argument("--private", action="store_true", help="a new Space is private")


def main(arguments: argparse.Namespace) -> None:
    repo, wanted = remote.parse(arguments.repo)
    if wanted is not None:
        raise AtelierError("space-revision", "{repo}: name the Space alone.", repo=arguments.repo)
    files = space_files(ROOT)
    sizes = {path: size_of(content) for path, content in files.items()}
    summary = f"{len(files)} files, {sum(sizes.values()) / 2**20:.2f} MiB"
    if arguments.dry_run:
        for path, size in sizes.items():
            print(f"{size:>10,}  {path}")
        print(f"{summary}: nothing was sent to {repo}")
        return
    made = hub.upload_space(
        repo,
        files,
        message=f"Latent Atelier at {revision(ROOT)}",
        private=arguments.private,
        progress=show,
    )
    print(f"{summary}: {made.url.split('/commit/')[0]}\ncommit: {made.url}")


def space_files(root: Path) -> dict[str, Path | bytes]:
    """The Space's files by path: tracked files of ``PARTS``, the README under its front matter.

    Raises ``AtelierError``: ``space-no-repository``, ``space-missing`` where a part is not there.
    """
    tracked = [path for path in git(root, "ls-files", "-z", "--", *PARTS).split("\0") if path]
    tops = {path.split("/")[0] for path in tracked}
    missing = [part for part in PARTS if part not in tops]
    missing += [path for path in tracked if not (root / path).is_file()]
    if missing:
        raise AtelierError(
            "space-missing",
            "A Space needs {files}, tracked by git: not found.",
            files=", ".join(missing),
        )
    files: dict[str, Path | bytes] = {path: root / path for path in sorted(tracked)}
    return files | {"README.md": readme(root).encode()}


def readme(root: Path) -> str:
    """The README as the Hub wants it: front matter, with the Hub's models of the manifest, first."""
    manifest = read_manifest(root / "checkpoints" / "manifest.json")
    models = sorted({entry.repo for entry in manifest.entries if entry.repo})
    head = FRONT_MATTER.read_text(encoding="utf-8").rstrip().removesuffix("---")
    if models:
        head += "\n".join(["models:", *(f"- {repo}" for repo in models)]) + "\n"
    return f"{head}---\n\n{(root / 'README.md').read_text(encoding='utf-8')}"


def revision(root: Path) -> str:
    """The commit that the files are of, and whether they differ from it."""
    changed = git(root, "status", "--porcelain", "--untracked-files=no").strip()
    return git(root, "rev-parse", "--short", "HEAD").strip() + (", changed" if changed else "")


def git(root: Path, *command: str) -> str:
    """What git says of a repository; raises ``AtelierError`` ``space-no-repository``."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *command], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise AtelierError(
            "space-no-repository",
            "{root} is no git repository with a commit, or git is not installed: which files "
            "belong to the app is read from it.",
            root=root,
        ) from error
    return done.stdout


def size_of(content: Path | bytes) -> int:
    """Bytes of a file or of a content."""
    return content.stat().st_size if isinstance(content, Path) else len(content)


def show(done: int, total: int) -> None:
    """Progress on one line of the terminal."""
    print(f"\r{done / 2**20:.1f} of {total / 2**20:.1f} MiB", end="", file=sys.stderr)
    if done == total:
        print(file=sys.stderr)
