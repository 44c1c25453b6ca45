"""One place for a bundle, wherever it lies: a folder here or a repository of the Hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from core.bundles import remote
from core.bundles.bundle import Bundle, other_family, read_bundle
from core.errors import AtelierError

if TYPE_CHECKING:
    from core.bundles.weights import Networks

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def open_bundle(
    folder_or_repo: str | Path,
    *,
    networks: Networks,
    revision: str | None = None,
) -> Bundle:
    """A bundle by folder, or by Hub repository ``user/name`` at ``revision``.

    ``networks``: by family, what builds a network; a bundle of another family is refused.

    Raises ``AtelierError``: ``bundle-missing``, ``bundle-incomplete``, ``bundle-damaged``,
    ``bundle-config``, ``bundle-family``, and those of ``core.bundles.remote``.
    """
    folder = Path(folder_or_repo)
    if folder.is_dir():
        bundle = read_bundle(folder)
    elif isinstance(folder_or_repo, str) and REPOSITORY.fullmatch(folder_or_repo):
        bundle = remote.fetch(folder_or_repo, revision, networks=networks)
    else:
        raise AtelierError(
            "bundle-missing",
            "{place} is neither a folder nor a Hub repository of the form user/name.",
            place=folder_or_repo,
        )
    if bundle.family not in networks:
        raise other_family(bundle.place, bundle.family, networks)
    return bundle
