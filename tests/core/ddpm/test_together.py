"""Calls of several threads are one batch, each gets its own rows, and nobody waits for all of another's."""

import threading
import time

import pytest
import torch

from core.ddpm import together
from core.ddpm.explorer import DDPMExplorer, SamplerSettings
from core.ddpm.model import DDPM
from core.ddpm.together import Together
from core.errors import AtelierError
from core.families import open_bundle


def rows(x, t):
    return x * 2 + t.reshape(-1, *[1] * (x.dim() - 1))


class Slow:
    """A network that a test lets go on, and that notes its batches."""

    def __init__(self):
        self.batches, self.free = [], threading.Event()

    def __call__(self, x, t):
        self.batches.append(len(x))
        assert self.free.wait(30)
        return rows(x, t)


def all_at_once(jobs):
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    return threads


def test_every_call_gets_its_own_rows():
    shared, found = Together(rows, most=7), {}

    def visitor(number):
        generator = torch.Generator().manual_seed(number)
        for step in range(20):
            x = torch.randn(1 + number % 9, 2, generator=generator)
            t = torch.full((len(x),), step)
            found.setdefault(number, []).append(torch.equal(shared(x, t), rows(x, t)))

    for thread in all_at_once([lambda number=number: visitor(number) for number in range(12)]):
        thread.join(30)
    assert [len(one) for one in found.values()] == [20] * 12
    assert all(all(one) for one in found.values())


def test_calls_that_wait_are_one_batch():
    slow = Slow()
    shared, answers = Together(slow), []
    jobs = [
        lambda i=i: answers.append(shared(torch.full((2, 1), i), torch.zeros(2))) for i in range(9)
    ]
    threads = all_at_once(jobs[:1])
    while not slow.batches:
        time.sleep(0.001)
    threads += all_at_once(jobs[1:])
    while len(shared._waiting) < 9:  # with the one that is being computed
        time.sleep(0.001)
    slow.free.set()
    for thread in threads:
        thread.join(30)
    assert slow.batches == [2, 16]
    assert sorted(float(answer[0, 0]) for answer in answers) == [2.0 * i for i in range(9)]


def test_a_long_call_lets_others_between_its_parts():
    order = []

    def network(x, t):
        order.append(sorted({int(one) for one in t}))
        time.sleep(0.01)
        return rows(x, t)

    shared = Together(network, most=4)
    long = all_at_once([lambda: shared(torch.zeros(40, 1), torch.zeros(40))])
    while not order:
        time.sleep(0.001)
    shared(torch.zeros(1, 1), torch.ones(1))
    long[0].join(30)
    assert len(order) == 11
    assert order.index([1]) < 5


def test_a_call_that_fails_costs_no_other():
    def network(x, t):
        if (t < 0).any():
            raise ValueError("too large")
        return rows(x, t)

    slow = Slow()
    shared = Together(lambda x, t: (slow(x, t), network(x, t))[1])
    failed, fine = [], []

    def bad():
        try:
            shared(torch.zeros(1, 1), torch.full((1,), -1))
        except ValueError as error:
            failed.append(str(error))

    threads = all_at_once([lambda: fine.append(shared(torch.zeros(1, 1), torch.zeros(1)))])
    while not slow.batches:
        time.sleep(0.001)
    threads += all_at_once(
        [bad, *[lambda: fine.append(shared(torch.zeros(1, 1), torch.zeros(1)))] * 3]
    )
    while len(shared._waiting) < 5:
        time.sleep(0.001)
    slow.free.set()
    for thread in threads:
        thread.join(30)
    assert failed == ["too large"]
    assert len(fine) == 4


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
    ],
    ids=str,
)
def test_where_there_is_no_memory_it_says_so(error):
    def network(x, t):
        if len(x) > 1:
            raise error
        return rows(x, t)

    shared = Together(network)
    for _ in range(2):
        with pytest.raises(AtelierError, match="not enough memory") as caught:
            shared(torch.zeros(2, 1), torch.zeros(2))
        assert caught.value.code == "memory"
        assert torch.equal(shared(torch.ones(1, 1), torch.ones(1)), torch.full((1, 1), 3.0))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_while_it_computes_takes_nobody_with_it():
    slow, dying, dead = Slow(), [], []

    def network(x, t):
        found = slow(x, t)
        if threading.current_thread() in dying:
            dead.append(dying.pop())
            raise SystemExit
        return found

    shared, answers = Together(network), []
    dying += all_at_once([lambda: shared(torch.zeros(1, 1), torch.zeros(1))])
    while not slow.batches:
        time.sleep(0.001)
    others = all_at_once([lambda: answers.append(shared(torch.zeros(1, 1), torch.ones(1)))] * 3)
    while len(shared._waiting) < 4:
        time.sleep(0.001)
    slow.free.set()
    for thread in [*others, *dying]:
        thread.join(30)
    assert [thread.is_alive() for thread in dead] == [False]
    assert [float(answer[0, 0]) for answer in answers] == [1.0] * 3


def test_no_pictures_at_once_is_refused():
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        Together(rows, most=0)


@pytest.mark.parametrize(("dtype", "most_off"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_a_picture_does_not_depend_on_its_company(tiny_ddpm, dtype, most_off):
    network = DDPM.build(tiny_ddpm).unet.to(dtype).eval()
    generator = torch.Generator().manual_seed(0)
    for value in network.parameters():  # the last layer begins at 0
        value.data.normal_(0.0, 0.2, generator=generator)
    x = torch.randn(6, 3, 32, 32, generator=generator, dtype=dtype)
    t = torch.tensor([0, 5, 20, 30, 40, 59])
    with torch.no_grad():
        whole = network(x, t)
        alone = torch.cat([network(x[i : i + 1], t[i : i + 1]) for i in range(6)])
    assert (whole - alone).abs().max() < most_off * whole.abs().max()


def test_visitors_who_denoise_at_once_share_the_calls(tiny_ddpm_bundle, monkeypatch):
    explorer = DDPMExplorer(open_bundle(tiny_ddpm_bundle))
    way, alone = SamplerSettings("ddim", 10), {}
    for seed in range(6):
        alone[seed] = explorer.denoise(way, [seed]).result
    batches, network = [], explorer._together.network

    def counted(x, t):
        batches.append(len(x))
        return network(x, t)

    monkeypatch.setattr(explorer._together, "network", counted)
    found, ready = {}, threading.Barrier(6)

    def visitor(seed):
        ready.wait(30)
        found[seed] = explorer.denoise(way, [seed]).result

    for thread in all_at_once([lambda seed=seed: visitor(seed) for seed in range(6)]):
        thread.join(60)
    assert sum(batches) == 6 * 10
    assert len(batches) < 60
    for seed, pictures in found.items():
        assert abs(pictures.astype(int) - alone[seed].astype(int)).max() <= 1


def test_one_network_computes_at_a_time():
    assert isinstance(together.COMPUTING, type(threading.Lock()))
    going, most = [], []

    def network(x, t):
        going.append(1)
        most.append(len(going))
        time.sleep(0.002)
        going.pop()
        return rows(x, t)

    several = [Together(network), Together(network)]
    jobs = [lambda i=i: several[i % 2](torch.zeros(1, 1), torch.zeros(1)) for i in range(10)]
    for thread in all_at_once(jobs):
        thread.join(30)
    assert max(most) == 1
