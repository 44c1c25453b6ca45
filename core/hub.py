"""The only module of ``core`` that talks to the network: the Hugging Face Hub.

Everything goes through ``huggingface_hub``: its cache, retries, resumed downloads and
``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_OFFLINE``. What can go wrong becomes one ``AtelierError``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm import tqdm

from core.errors import AtelierError

BUNDLE_PATTERNS = ["*.json", "*.safetensors", "README.md", "progress/*.jpg"]
"""The only files ever fetched from a bundle's repository: no pickle, no code."""

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


def _progress_bar(progress: Progress) -> type[tqdm]:
    """A tqdm that reports to ``progress`` and prints nothing."""

    class Reporting(tqdm):
        def __init__(self, *args: object, **kwargs: object) -> None:
            kwargs.pop("name", None)  # huggingface_hub's own tqdm takes it, the plain one does not
            kwargs["disable"] = False
            kwargs["gui"] = True  # no terminal output
            super().__init__(*args, **kwargs)

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if self.total:
                progress(int(self.n), int(self.total))

        def display(self, *args: object, **kwargs: object) -> None:
            return None

        def close(self) -> None:
            return None

    return Reporting


@contextmanager
def _plain_errors(repo: str) -> Iterator[None]:
    try:
        yield
    except GatedRepoError as error:
        raise AtelierError(
            "hub-forbidden",
            "{repo} is gated on the Hub: ask for access there and log in first.",
            repo=repo,
        ) from error
    except LocalEntryNotFoundError as error:
        if isinstance(error.__cause__, HfHubHTTPError):
            raise _answer(repo, error.__cause__) from error
        raise _unreachable(repo) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        raise AtelierError(
            "hub-not-found",
            "The Hub has no public {repo} with this revision and file; check the name.",
            repo=repo,
        ) from error
    except HFValidationError as error:
        raise AtelierError(
            "hub-name", "{repo} is not a name of the form user/name.", repo=repo
        ) from error
    except HfHubHTTPError as error:
        raise _answer(repo, error) from error
    except HTTPError as error:
        raise _unreachable(repo) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise AtelierError(
                "disk-full", "The disk is full: {repo} could not be stored.", repo=repo
            ) from error
        raise _unreachable(repo) from error


def _unreachable(repo: str) -> AtelierError:
    return AtelierError(
        "hub-unreachable",
        "The Hub could not be reached and {repo} is not in the cache.",
        repo=repo,
    )


def _answer(repo: str, error: HfHubHTTPError) -> AtelierError:
    status = error.response.status_code if error.response is not None else "?"
    return AtelierError(
        "hub-answer",
        "The Hub answered {status} for {repo}; try again later.",
        repo=repo,
        status=status,
    )


def download_dataset_file(repo: str, filename: str, progress: Progress | None = None) -> Path:
    """One file of a data set, from the standard cache or the Hub; downloads resume."""
    with _plain_errors(repo):
        bar = _progress_bar(progress) if progress else None
        return Path(hf_hub_download(repo, filename, repo_type="dataset", tqdm_class=bar))


def cached_dataset_file(repo: str, filename: str) -> Path | None:
    """The same file if the standard cache has it; never asks the network."""
    found = try_to_load_from_cache(repo, filename, repo_type="dataset")
    return Path(found) if isinstance(found, str) else None


def fetch_bundle(repo: str, revision: str | None = None) -> Path:
    """The folder of a bundle ``user/name`` at ``revision``, in the standard cache."""
    with _plain_errors(repo):
        return Path(snapshot_download(repo, revision=revision, allow_patterns=BUNDLE_PATTERNS))
