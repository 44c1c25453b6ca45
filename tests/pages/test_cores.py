import math
import os

import pytest
import torch

from pages.shared import loaders


@pytest.fixture
def control_group(tmp_path):
    def write(files):
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(content)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu.max": "something else\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_a_quota_is_read_as_cores(control_group, files, cores):
    assert loaders.granted_cores(control_group(files)) == cores


@pytest.mark.parametrize(("quota", "threads"), [("50000", 1), ("100000", 1), ("max", None)])
def test_a_container_computes_on_the_cores_that_it_is_granted(
    monkeypatch, control_group, quota, threads
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    group = control_group({"cpu.max": f"{quota} 100000"})
    monkeypatch.setattr(loaders, "CONTROL_GROUP", group)
    before = torch.get_num_threads()
    try:
        assert loaders.use_all_cores() == (threads or len(os.sched_getaffinity(0)))
    finally:
        torch.set_num_threads(before)


def test_the_variable_has_the_last_word(monkeypatch, control_group):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(loaders, "CONTROL_GROUP", control_group({"cpu.max": "200000 100000"}))
    before = torch.get_num_threads()
    assert loaders.use_all_cores() == before
