"""Work in processes of its own."""

import asyncio
import os
import time

import pytest

from activelog.base import processes
from activelog.base.errors import JobError
from activelog.base.processes import Offload


async def test_more_calls_than_a_pool_takes_all_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_CALLS", 3)
    offload = Offload(2)
    try:
        calls = [offload(abs, -number) for number in range(20)]
        assert await asyncio.wait_for(asyncio.gather(*calls), 60) == list(range(20))
    finally:
        offload.close()


async def test_a_process_that_dies_fails_its_call_and_the_next_one_works() -> None:
    offload = Offload(1)
    try:
        with pytest.raises(JobError, match="died"):
            await offload(os._exit, 1)
        assert await offload(abs, -1) == 1
    finally:
        offload.close()


async def test_a_call_that_takes_too_long_ends_with_its_process() -> None:
    offload = Offload(1)
    try:
        with pytest.raises(JobError, match="longer than"):
            await offload(time.sleep, 600, seconds=0.2)
        assert await offload(abs, -1) == 1
    finally:
        offload.close()


async def test_a_call_that_wants_all_memory_fails_alone() -> None:
    offload = Offload(1)
    try:
        with pytest.raises(JobError, match="memory"):
            await offload(bytearray, 2**31)
        assert await offload(abs, -1) == 1
    finally:
        offload.close()


async def test_a_call_that_nobody_waits_for_stops() -> None:
    offload = Offload(1)
    try:
        call = asyncio.create_task(offload(time.sleep, 600))
        await asyncio.sleep(0)
        while not offload._at_work:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.wait_for(offload(abs, -1), 30) == 1
    finally:
        offload.close()


async def test_one_person_never_has_all_processes_and_people_take_turns() -> None:
    offload = Offload(2)
    ended: list[str] = []

    async def work(owner: str) -> None:
        await offload(time.sleep, 0.05, owner=owner)
        ended.append(owner)

    try:
        mine = [asyncio.create_task(work("many")) for _ in range(8)]
        while not offload._at_work:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        await work("one")
        assert ended.count("many") < 7
        assert offload._at_work["many"] == 1
        await asyncio.gather(*mine)
    finally:
        offload.close()


async def test_what_the_function_raises_is_raised() -> None:
    offload = Offload(1)
    try:
        with pytest.raises(ValueError, match="invalid literal"):
            await offload(int, "x")
    finally:
        offload.close()
