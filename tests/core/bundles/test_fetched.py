"""What visitors had fetched from the Hub takes no more than its share of the disk."""

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from core.bundles import fetched, hub

SIZE = 1000
COMMITS = {f"user/m{n}": f"{n}" * 40 for n in range(1, 5)}


@pytest.fixture
def cache():
    root = Path(constants.HF_HUB_CACHE)
    made = []
    for repo, commit in COMMITS.items():
        folder = root / f"models--{repo.replace('/', '--')}"
        (folder / "snapshots" / commit).mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(commit)
        (folder / "snapshots" / commit / "model.safetensors").write_bytes(b"x" * SIZE)
        made.append(folder)
    yield root
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)
    for file in root.glob(f"{Path(fetched.FILE).stem}*"):
        file.unlink()


def used(*repos, most):
    return [fetched.note(repo, COMMITS[repo], most) for repo in repos]


def there():
    return {repo for repo, _commit in hub.cached_sizes()} & set(COMMITS)


def test_the_commit_used_longest_ago_leaves_first(cache):
    gone = used("user/m1", "user/m2", "user/m1", "user/m3", most=2 * SIZE)
    assert gone == [[], [], [], [("user/m2", COMMITS["user/m2"])]]
    assert there() == {"user/m1", "user/m3", "user/m4"}
    assert [repo for repo, _commit in fetched.commits()] == ["user/m1", "user/m3"]


def test_the_one_in_use_stays_however_large(cache):
    used("user/m1", "user/m2", most=0)
    assert there() == {"user/m2", "user/m3", "user/m4"}


def test_what_the_owner_put_into_the_cache_stays(cache):
    used("user/m1", "user/m2", "user/m3", most=1)
    assert "user/m4" in there()


@pytest.mark.parametrize("note", ["", "{", "[1]", '{"a": 1}', '[["user/m1"]]', "[" * 200_000])
def test_a_damaged_note_is_begun_anew(note, cache):
    (cache / fetched.FILE).write_text(note)
    used("user/m1", most=SIZE)
    assert fetched.commits() == [("user/m1", COMMITS["user/m1"])]


def test_a_mirror_of_the_same_commit_is_deleted_alone(cache):
    mirror = cache / "models--mirror--m1"
    shutil.copytree(cache / "models--user--m1", mirror)
    try:
        hub.forget("mirror/m1", COMMITS["user/m1"])
        assert not mirror.exists()
        assert "user/m1" in there()
    finally:
        shutil.rmtree(mirror, ignore_errors=True)


def test_what_the_owner_names_is_neither_noted_nor_deleted(cache):
    owned = {("user/m1", COMMITS["user/m1"])}
    used("user/m1", most=9 * SIZE)
    assert fetched.note("user/m2", COMMITS["user/m2"], 0, owned=owned) == []
    assert fetched.note("user/m1", COMMITS["user/m1"], 9 * SIZE, owned=owned) == []
    assert fetched.commits() == [("user/m2", COMMITS["user/m2"])]
    assert {"user/m1", "user/m2"} <= there()


def test_what_was_deleted_by_hand_is_noted_no_more(cache):
    used("user/m1", most=9 * SIZE)
    shutil.rmtree(cache / "models--user--m1")
    used("user/m2", most=9 * SIZE)
    assert fetched.commits() == [("user/m2", COMMITS["user/m2"])]
