"""What an app fetched from the Hub because a visitor asked for it: bounded, what was opened last is kept.

The Hub's standard cache has no bound of its own. Only what was noted here is ever deleted from it: what its
owner put there stays.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from core.bundles import hub
from core.bundles.bundle import NOT_JSON
from core.bundles.files import replacing

FILE = "latent-atelier-fetched.json"

Commit = tuple[str, str]
"""A repository and a commit of it."""


def _file() -> Path:
    return hub.cache_root() / FILE


def commits() -> list[Commit]:
    """What was noted, the latest use last; empty where the note is absent or damaged."""
    with suppress(OSError, *NOT_JSON, TypeError):
        return [(str(repo), str(commit)) for repo, commit in json.loads(_file().read_text())]
    return []


def note(repo: str, commit: str, most: int, *, owned: Collection[Commit] = ()) -> list[Commit]:
    """Notes a use, and forgets the commits used longest ago while all take more than ``most`` bytes.

    The one just used stays, however large it is, and so do those that the app's owner names (``owned``),
    which are noted no more. Returns what was deleted. Several processes may share a cache.
    """
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        used = [one for one in commits() if one != (repo, commit) and one not in owned]
        sizes = hub.cached_sizes()
        used = [one for one in used if one in sizes]  # others were deleted by hand
        if (repo, commit) not in owned:
            used.append((repo, commit))
        gone: list[Commit] = []
        while used and used[0] != (repo, commit) and sum(sizes.get(one, 0) for one in used) > most:
            hub.forget(*used[0])
            gone.append(used.pop(0))
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(used))
    return gone
