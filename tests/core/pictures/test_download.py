"""Downloads of a data set through the real client from a small server with the Hub's routes."""

import pytest

from tests.hub_client import Client
from tests.hub_server import Hub

REPO, FILE = "ufldl-stanford/svhn", "cropped_digits/test-00000-of-00001.parquet"
CONTENT = bytes(range(256)) * 100_000
DOWNLOAD = """
from core.pictures import data
seen = []
[file] = data.download_split("svhn", "test", lambda *step: seen.append(step))
print("bytes", file.stat().st_size, "steps", len(seen), "last", *(seen[-1] if seen else ()))
print("found", data.find_split("svhn", "test") == [file])
"""


@pytest.fixture(scope="module")
def client(hub_server, tmp_path_factory):
    """A client of its own: what others published through theirs is in its memory of the Hub."""
    own = Client(hub_server.address, tmp_path_factory.mktemp("downloads"))
    own.run("import time\ntime.sleep = lambda seconds: None")
    yield own
    own.close()


@pytest.fixture
def download(hub, client):
    """What the download said; begins with an empty cache."""
    client.run(
        "import shutil\nfrom huggingface_hub import constants\n"
        "shutil.rmtree(constants.HF_HUB_CACHE, ignore_errors=True)"
    )
    return lambda: client.run(DOWNLOAD)


def refused(download):
    with pytest.raises(RuntimeError) as caught:
        download()
    return str(caught.value)


def test_a_split_is_downloaded_with_progress_and_found_again(hub, download):
    hub.put(REPO, {FILE: CONTENT}, "datasets")
    said = download()
    assert f"bytes {len(CONTENT)}" in said
    assert f"last {len(CONTENT)} {len(CONTENT)}" in said
    assert "found True" in said
    assert len(hub.downloads()) == 1
    download()
    assert len(hub.downloads()) == 1


def test_a_cut_connection_is_taken_up_where_it_broke(hub, download):
    hub.put(REPO, {FILE: CONTENT}, "datasets")
    hub.fault = lambda method, path: "cut" if method == "GET" and not hub.downloads()[1:] else None
    assert f"bytes {len(CONTENT)}" in download()
    [start] = hub.ranges
    assert 0 < start <= len(CONTENT) // 2


def test_a_file_that_the_hub_lacks_is_named(hub, download):
    hub.put(REPO, {}, "datasets")
    assert refused(download).startswith("hub-not-found | ")


@pytest.mark.parametrize("status", [403, 404])
def test_an_answer_that_is_no_file_is_told(hub, download, status):
    hub.fault = lambda method, path: status
    said = refused(download)
    assert said.startswith("hub-answer | ")
    assert str(status) in said


@pytest.mark.slow
def test_a_server_that_is_not_there_is_told(tmp_path):
    gone = Hub()
    gone.close()
    client = Client(gone.address, tmp_path)
    try:
        client.run("import time\ntime.sleep = lambda seconds: None")
        with pytest.raises(RuntimeError, match=r"^hub-unreachable \| "):
            client.run(DOWNLOAD)
    finally:
        client.close()
