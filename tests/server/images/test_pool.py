"""Threads that serve clients in turn."""

import asyncio
import threading

import pytest
from edgevlm_server.errors import Unavailable
from edgevlm_server.images.pool import FairPool


def test_clients_take_turns_and_who_leaves_is_skipped() -> None:
    async def play() -> list[str]:
        pool, gate, begun, done = FairPool(1, "test"), threading.Event(), threading.Event(), []

        def work(name: str) -> None:
            begun.set()
            gate.wait(60)
            done.append(name)

        def begin(client: str, name: str) -> "asyncio.Task[None]":
            return asyncio.create_task(pool.run(client, lambda: work(name)))

        tasks = [begin("flood", f"flood {number}") for number in range(5)]
        await asyncio.sleep(0)
        tasks += [begin("other", "other 0"), begin("other", "other 1"), begin("third", "third 0")]
        await asyncio.sleep(0)
        assert await asyncio.to_thread(begun.wait, 60)
        tasks[2].cancel()
        tasks[0].cancel()  # it runs: its thread is not free before it has ended
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        pool.shutdown()
        return done

    assert asyncio.run(play()) == [
        *("flood 0", "flood 1", "other 0", "third 0", "flood 3", "other 1", "flood 4"),
    ]


def test_a_closed_pool_refuses_what_waits_and_what_comes() -> None:
    async def play() -> list[object]:
        pool, gate = FairPool(1, "test"), threading.Event()
        tasks = [asyncio.create_task(pool.run("a", lambda: gate.wait(20))) for _ in range(3)]
        await asyncio.sleep(0)
        pool.refuse()
        gate.set()
        ended = await asyncio.gather(*tasks, pool.run("b", lambda: True), return_exceptions=True)
        pool.shutdown()
        return list(ended)

    first, *others = asyncio.run(play())
    assert first is True or isinstance(first, Unavailable)
    assert len(others) == 3 and all(isinstance(one, Unavailable) for one in others)


def test_what_the_work_raises_comes_out_and_the_thread_is_free_again() -> None:
    async def play() -> int:
        pool = FairPool(1, "test")
        with pytest.raises(ZeroDivisionError):
            await pool.run("a", lambda: 1 // 0)
        found = await pool.run("a", lambda: 5)
        pool.shutdown()
        return found

    assert asyncio.run(play()) == 5
