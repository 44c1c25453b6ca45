"""Stop and Go on hold while others keep the server busy, and lose no step."""

import asyncio
import gzip
import re

import numpy as np
import pytest

from tests.benchmarks.deltas import addresses
from tests.benchmarks.visitor import Visitor, done
from tests.pages.conftest import tiny_library  # noqa: F401
from tests.served import App

SEEDS = (11, 12)
STOPS = 2
STEPS = 500
LINK = (
    f"lang=en&denoise_bundle=ddpm-svhn-{STEPS}&denoise_sampler=DDPM&denoise_count=1&denoise_seed="
)
BUSY = (
    ("latent-profiles", "profiles_class"),
    ("vae-training", "training_curve"),
    ("collapse", "collapse_layer"),
)
"""Pages, and what their visitors move."""


@pytest.fixture
def apps(tmp_path, tiny_library):  # noqa: F811
    """Two servers that know nothing of one another: results of the one are not those of the other."""
    running = [
        App(tmp_path / name, ATELIER_CHECKPOINTS=str(tiny_library)) for name in ("first", "second")
    ]
    yield running
    for one in running:
        one.stop()


def where(visitor):
    """How many steps are done, as the page says it; None where it says nothing of steps."""
    bars = (getattr(node.message, "text", "") for _path, node in visitor.page.elements(main=True))
    found = re.search(rf"(\d+) of {STEPS}\b", "\n".join([visitor.page.text(), *bars]))
    return int(found[1]) if found else None


def buttons(visitor):
    return {"denoise_stop", "denoise_on"} & set(visitor.page.widgets())


async def until(condition):
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.02)


async def pressed(visitor, key):
    """Begins work; it goes on while the test does something else."""
    task = asyncio.create_task(visitor.click(key))
    await until(lambda: "denoise_stop" in visitor.page.widgets() or task.done())
    return task


async def stopped(visitor, least):
    """Stops the work once it has come so far; how far it then stands."""
    await until(lambda: (where(visitor) or 0) > least)
    await visitor.click("denoise_stop")
    assert buttons(visitor) == {"denoise_on"}
    return where(visitor)


async def stops_and_goes_on(visitor, seed):
    await visitor.open("denoising", f"{LINK}{seed}")
    task, reached = await pressed(visitor, "denoise_go"), -1
    for turn in range(STOPS):
        now = await stopped(visitor, max(reached, 50 * turn))
        task.cancel()
        assert reached < now < STEPS
        for _turn in range(2):
            await asyncio.sleep(0.3)
            await visitor.again()  # as the page does when anything else on it is touched
            assert buttons(visitor) == {"denoise_on"}
            # A page is drawn anew at once; the step that was under way then is still taken.
            assert now <= where(visitor) <= now + 1, "stopped work went on"
        reached, task = now, await pressed(visitor, "denoise_on")
    answer = await task
    assert not answer.errors
    assert not buttons(visitor)


async def unbroken(visitor, seed):
    await visitor.open("denoising", f"{LINK}{seed}")
    answer = await visitor.click("denoise_go")
    assert not answer.errors


async def pictures(visitor):
    """The films that the page shows, as bytes."""
    found = []
    for _path, node in visitor.page.elements(main=True):
        for address in addresses(node):
            if address.endswith("/frames"):
                found.append(await visitor.fetch(visitor.base + address))
    assert found
    return [
        np.frombuffer(gzip.decompress(one) if one[:2] == b"\x1f\x8b" else one, np.uint8)
        for one in found
    ]


async def moving(visitor, page, key):
    """Moves a control as fast as it is answered, until it is told to end."""
    await visitor.open(page, "lang=en")
    while True:
        answer = await visitor.move(key)
        assert not answer.errors
        await asyncio.sleep(0.2)


async def six(app):
    """Two who stop and go on, four who keep the server busy with something else."""
    working = [Visitor(app.url) for _ in SEEDS]
    others = [(Visitor(app.url), *BUSY[place % len(BUSY)]) for place in range(4)]
    busy = [asyncio.create_task(moving(*other)) for other in others]
    await asyncio.gather(*map(stops_and_goes_on, working, SEEDS))
    for task in busy:
        assert not task.done(), task.exception()
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    made = [await pictures(one) for one in working]
    for one in (*working, *(other[0] for other in others)):
        await one.leave()
    return made


async def two(app):
    visitors = [Visitor(app.url) for _ in SEEDS]
    made = []
    for visitor, seed in zip(visitors, SEEDS, strict=True):
        await unbroken(visitor, seed)
        made.append(await pictures(visitor))
        await visitor.leave()
    return made


@pytest.mark.slow
def test_what_is_stopped_stays_so_and_ends_as_if_it_had_not_been(apps):
    """Others take turns with it all the while, and share calls of the network with it."""
    crowded, quiet = apps
    for broken, whole in zip(done(six(crowded)), done(two(quiet)), strict=True):
        assert [one.shape for one in broken] == [one.shape for one in whole]
        for one, other in zip(broken, whole, strict=True):
            # What a network makes of a picture depends on its company by rounding alone.
            assert np.abs(one.astype(int) - other).max() <= 1
