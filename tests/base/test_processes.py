"""TrackedJob in processes of its own."""

import asyncio
import os

import pytest

from activelog.base import processes
from activelog.base.errors import JobError
from activelog.base.processes import Offload


async def test_more_calls_than_a_pool_takes_all_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_CALLS_PER_POOL", 3)
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
