"""The only module of ``core`` that talks to the network: the Hugging Face Hub.

Everything goes through ``huggingface_hub``: its cache, retries, resumed downloads and
``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_OFFLINE``. What can go wrong becomes one ``AtelierError``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    get_token,
    hf_hub_download,
    snapshot_download,
    try_to_load_from_cache,
)
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
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
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


# ---------------------------------------------------------------- a Space

KEPT_IN_A_SPACE = ".gitattributes"
"""The Hub's own file, which says what is stored apart from git."""

SENT_ALONE = 2**20
"""Files of so many bytes and more are sent one by one, so that progress can be told."""


def upload_space(
    repo: str,
    files: Mapping[str, Path | bytes],
    *,
    message: str,
    private: bool = False,
    progress: Progress | None = None,
) -> str:
    """Makes ``files`` all that the Docker Space ``user/name`` holds; the address of the commit.

    The Space is created where there is none (``private`` matters only then). ``files`` maps paths
    in the Space to files or contents; what it held besides them is deleted, all in one commit. Where
    nothing differs there is no new commit and the address is that of the last one.

    Raises ``AtelierError``: ``hub-name``, ``hub-login`` (no token, or an expired one),
    ``hub-forbidden-to-write``, ``hub-paid``, ``hub-not-reached``, ``hub-not-found``, ``hub-answer``.
    """
    if repo.count("/") != 1:
        raise AtelierError("hub-name", "{repo} is not a name of the form user/name.", repo=repo)
    if get_token() is None:
        raise _who_are_you(repo)
    api = HfApi()
    additions = [CommitOperationAdd(path, content) for path, content in sorted(files.items())]
    total = sum(addition.upload_info.size for addition in additions)
    done = 0
    with _plain_errors(repo), _plain_upload_errors(repo), _no_bars():
        # None, not False: an organisation may have private as its own default.
        api.create_repo(
            repo, repo_type="space", space_sdk="docker", private=private or None, exist_ok=True
        )
        kept = {*files, KEPT_IN_A_SPACE}
        there = api.list_repo_files(repo, repo_type="space")
        deletions = [CommitOperationDelete(path) for path in there if path not in kept]
        for addition in additions:
            if addition.upload_info.size >= SENT_ALONE:
                api.preupload_lfs_files(repo, [addition], repo_type="space", free_memory=False)
                done += addition.upload_info.size
                if progress:
                    progress(done, total)
        commit = api.create_commit(
            repo, [*additions, *deletions], commit_message=message, repo_type="space"
        )
        if progress:
            progress(total, total)
    return commit.commit_url


@contextmanager
def _no_bars() -> Iterator[None]:
    """The client draws its bars on the terminal and takes no other; progress is told here."""
    drawn = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if drawn:
            enable_progress_bars()


@contextmanager
def _plain_upload_errors(repo: str) -> Iterator[None]:
    """What goes wrong in writing alone; ``_plain_errors`` around it knows the rest."""
    try:
        yield
    except HfHubHTTPError as error:
        refused = _upload_refused(repo, error)
        if refused is None:
            raise
        raise refused from error
    except RuntimeError as error:  # a file's own upload, which runs in a thread of the client
        if isinstance(error.__cause__, HfHubHTTPError):
            refused = _upload_refused(repo, error.__cause__)
            raise refused or _answer(repo, error.__cause__) from error
        raise _not_reached(repo) from error
    except (HTTPError, ConnectionError) as error:
        raise _not_reached(repo) from error


def _upload_refused(repo: str, error: HfHubHTTPError) -> AtelierError | None:
    status = error.response.status_code if error.response is not None else None
    if status == 401:
        return _who_are_you(repo)
    if status == 402:
        return AtelierError(
            "hub-paid",
            "The Hub asks for a subscription or paid hardware before it runs {repo} with Docker.",
            repo=repo,
        )
    if status == 403:
        return AtelierError(
            "hub-forbidden-to-write",
            "Your token may not write to {repo}: it needs write access, and the name must be yours.",
            repo=repo,
        )
    return None


def _who_are_you(repo: str) -> AtelierError:
    return AtelierError(
        "hub-login",
        "The Hub does not know who wants to write to {repo}: log in with hf auth login, or set "
        "HF_TOKEN to a token with write access.",
        repo=repo,
    )


def _not_reached(repo: str) -> AtelierError:
    return AtelierError(
        "hub-not-reached",
        "The Hub could not be reached: {repo} is as it was before.",
        repo=repo,
    )
