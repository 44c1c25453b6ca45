"""The only module of ``core`` that talks to the network: the Hugging Face Hub.

Everything goes through ``huggingface_hub``: its cache, retries, resumed downloads and
``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_OFFLINE``. What can go wrong becomes one ``AtelierError``.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from json import JSONDecodeError
from pathlib import Path
from typing import Literal

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    EvalResult,
    HfApi,
    ModelCard,
    constants,
    get_token,
    hf_hub_download,
    scan_cache_dir,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    CacheNotFound,
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

OF_THE_DISK = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
"""Errors of a folder that cannot be written: a network does not raise them."""
SECONDS_TO_ANSWER = 10.0
KEPT_FILE = ".gitattributes"
"""The Hub's own file, which says what is stored apart from git."""

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
    except JSONDecodeError as error:
        raise AtelierError(
            "hub-answer",
            "The Hub answered {status} for {repo}; try again later.",
            repo=repo,
            status="–",
        ) from error
    except HfHubHTTPError as error:
        raise _answer(repo, error) from error
    except HTTPError as error:
        raise _unreachable(repo) from error
    except OSError as error:
        if error.errno is None and "Consistency" in str(error):  # fewer bytes came than were said
            raise AtelierError(
                "hub-partial", "The Hub sent a file of {repo} only in part.", repo=repo
            ) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise AtelierError(
                "disk-full", "The disk is full: {repo} could not be stored.", repo=repo
            ) from error
        if error.filename is not None or error.errno in OF_THE_DISK:
            raise AtelierError(
                "hub-cache",
                "{repo} cannot be stored in the cache, {folder}: {reason}.",
                repo=repo,
                folder=cache_root(),
                reason=error.strerror,
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
    if status == 429:
        return AtelierError(
            "hub-busy",
            "The Hub has had too many requests from here; wait a minute, then try again.",
        )
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


# ---------------------------------------------------------------- bundles


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its ``size`` in bytes, and the hash that the Hub has of it.

    ``sha256`` of a large file, of a small one git's ``blob``: sha1 of its length and content.
    """

    size: int
    sha256: str | None = None
    blob: str | None = None

    def is_(self, path: Path) -> bool:
        """Whether a file on the disk is this one."""
        content = path.read_bytes()
        if self.sha256 is not None:
            return hashlib.sha256(content).hexdigest() == self.sha256
        if self.blob is not None:
            return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == self.blob
        return len(content) == self.size


@dataclass(frozen=True)
class Listing:
    """What a repository holds at a commit (40 hexadecimal digits)."""

    commit: str
    files: Mapping[str, RemoteFile]


def list_repository(repo: str, revision: str | None = None) -> Listing:
    """The files of ``user/name`` at a branch, tag or commit; asks the Hub, and downloads nothing."""
    with _plain_errors(repo):
        found = HfApi().model_info(
            repo, revision=revision, files_metadata=True, timeout=SECONDS_TO_ANSWER
        )
        return Listing(
            found.sha or "",
            {
                file.rfilename: RemoteFile(
                    file.size or 0, file.lfs.sha256 if file.lfs else None, file.blob_id
                )
                for file in found.siblings or ()
            },
        )


def fetch_file(
    repo: str, commit: str, name: str, progress: Progress | None = None, *, again: bool = False
) -> Path:
    """A file at a commit, in the standard cache; ``again``: downloaded though it is there."""
    with _plain_errors(repo):
        bar = _progress_bar(progress) if progress else None
        found = hf_hub_download(repo, name, revision=commit, force_download=again, tqdm_class=bar)
        return Path(found)


def cached_folder(repo: str, revision: str | None = None) -> Path | None:
    """What the standard cache has of a repository, be it whole or not; never asks the network."""
    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None


def cache_root() -> Path:
    """The folder of the standard cache."""
    return Path(constants.HF_HUB_CACHE)


def cached_sizes() -> dict[tuple[str, str], int]:
    """Bytes of every commit of a model in the standard cache, by repository and commit."""
    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return {}
    return {
        (held.repo_id, revision.commit_hash): revision.size_on_disk
        for held in repos
        if held.repo_type == "model"
        for revision in held.revisions
    }


def forget(repo: str, commit: str) -> int:
    """Delete a commit of a repository from the standard cache; the bytes that are free now."""
    freed = 0
    cache = scan_cache_dir()
    for held in cache.repos:
        if held.repo_id == repo and held.repo_type == "model":
            # A mirror has the same commits: only this repository is searched for it.
            alone = replace(cache, repos=frozenset({held}))
            if any(revision.commit_hash == commit for revision in held.revisions):
                plan = alone.delete_revisions(commit)
                plan.execute()
                freed += plan.expected_freed_size
    return freed


@dataclass(frozen=True)
class Result:
    """A figure for a card's ``model-index``, with the data set's name there and in words."""

    task: str
    dataset: str
    words_of_data: str
    split: str
    metric: str
    words: str
    value: float


def model_card(card: str, title: str, results: Sequence[Result]) -> str:
    """The card of a bundle with ``results`` in its front matter, as ``model-index`` of ``title``."""
    found = ModelCard(card, ignore_metadata_errors=True)
    found.data.model_name = title
    found.data.eval_results = [
        EvalResult(
            task_type=one.task,
            dataset_type=one.dataset,
            dataset_name=one.words_of_data,
            dataset_split=one.split,
            metric_type=one.metric,
            metric_name=one.words,
            metric_value=one.value,
        )
        for one in results
    ]
    return str(found)


# ---------------------------------------------------------------- writing

SENT_ALONE = 2**20
"""Bytes: files of this size and larger are sent one by one, so that progress can be told."""


@dataclass(frozen=True)
class Publication:
    """The commit that holds what was uploaded, and the address where people see it."""

    commit: str
    url: str


def publish(
    repo: str,
    files: Mapping[str, Path | bytes],
    *,
    message: str,
    private: bool = False,
    progress: Progress | None = None,
) -> Publication:
    """Makes ``files`` all that the model repository ``user/name`` holds.

    As ``upload_space``, of which it differs in the kind of repository alone.
    """
    return _upload(repo, files, "model", message, private, progress)


def upload_space(
    repo: str,
    files: Mapping[str, Path | bytes],
    *,
    message: str,
    private: bool = False,
    progress: Progress | None = None,
) -> Publication:
    """Makes ``files`` all that the Docker Space ``user/name`` holds.

    The Space is created where there is none (``private`` matters only then). ``files`` maps paths
    in the Space to files or contents; what it held besides them is deleted, all in one commit. Where
    nothing differs there is no new commit, and the last one is returned.

    Raises ``AtelierError``: ``hub-name``, ``hub-login`` (no token, or an expired one),
    ``hub-forbidden-to-write``, ``hub-paid``, ``hub-not-reached``, ``hub-not-found``, ``hub-answer``,
    ``hub-upload-file`` (one of ``files`` cannot be read).
    """
    return _upload(repo, files, "space", message, private, progress)


def _upload(
    repo: str,
    files: Mapping[str, Path | bytes],
    kind: Literal["model", "space"],
    message: str,
    private: bool,
    progress: Progress | None,
) -> Publication:
    if repo.count("/") != 1:
        raise AtelierError("hub-name", "{repo} is not a name of the form user/name.", repo=repo)
    if get_token() is None:
        raise _who_are_you(repo)
    api = HfApi()
    done = 0
    with _plain_errors(repo), _plain_upload_errors(repo, files), _no_bars():
        # Of a file that it cannot read the client says no more than ValueError.
        for file in (content for content in files.values() if isinstance(content, Path)):
            file.open("rb").close()
        additions = [CommitOperationAdd(path, content) for path, content in sorted(files.items())]
        total = sum(addition.upload_info.size for addition in additions)
        # None, not False: an organisation may have private as its own default.
        api.create_repo(
            repo,
            repo_type=kind,
            space_sdk="docker" if kind == "space" else None,
            private=private or None,
            exist_ok=True,
        )
        kept = {*files, KEPT_FILE}
        there = api.list_repo_files(repo, repo_type=kind)
        deletions = [CommitOperationDelete(path) for path in there if path not in kept]
        for addition in additions:
            if addition.upload_info.size >= SENT_ALONE:
                api.preupload_lfs_files(repo, [addition], repo_type=kind, free_memory=False)
                done += addition.upload_info.size
                if progress:
                    progress(done, total)
        made = api.create_commit(
            repo, [*additions, *deletions], commit_message=message, repo_type=kind
        )
        if progress:
            progress(total, total)
    return Publication(made.oid, made.commit_url)


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
def _plain_upload_errors(repo: str, files: Mapping[str, Path | bytes]) -> Iterator[None]:
    """What goes wrong in writing alone; ``_plain_errors`` around it knows the rest."""
    try:
        yield
    except HfHubHTTPError as error:
        refused = _upload_refusal(repo, error)
        if refused is None:
            raise
        raise refused from error
    except RuntimeError as error:  # a file's own upload, which runs in a thread of the client
        if isinstance(error.__cause__, HfHubHTTPError):
            refused = _upload_refusal(repo, error.__cause__)
            raise refused or _answer(repo, error.__cause__) from error
        unreadable = _unreadable(files, error.__cause__)
        raise unreadable or _unreachable_for_upload(repo) from error
    except (HTTPError, ConnectionError) as error:
        raise _unreachable_for_upload(repo) from error
    except OSError as error:
        unreadable = _unreadable(files, error)
        if unreadable is None:
            raise
        raise unreadable from error


def _unreadable(
    files: Mapping[str, Path | bytes], error: BaseException | None
) -> AtelierError | None:
    """What to say where one of ``files`` went away or may not be read, and not a file of the cache."""
    ours = {str(content) for content in files.values() if isinstance(content, Path)}
    if not isinstance(error, OSError) or str(error.filename) not in ours:
        return None
    return AtelierError(
        "hub-upload-file",
        "{file} cannot be uploaded: {reason}.",
        file=str(error.filename),
        reason=error.strerror,
    )


def _upload_refusal(repo: str, error: HfHubHTTPError) -> AtelierError | None:
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


def _unreachable_for_upload(repo: str) -> AtelierError:
    return AtelierError(
        "hub-not-reached",
        "The Hub could not be reached: {repo} is as it was before.",
        repo=repo,
    )
