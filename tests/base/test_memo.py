import asyncio

from activelog.base.memo import Memo


async def test_of_many_who_ask_at_once_one_measures() -> None:
    memo, measured = Memo(), 0

    async def measure() -> int:
        nonlocal measured
        measured += 1
        await asyncio.sleep(0)
        return measured

    assert await asyncio.gather(*(memo.get("a", 60, measure) for _ in range(5))) == [1] * 5
    assert await memo.get("b", 0, measure) == 2
    await asyncio.sleep(0.001)
    assert await memo.get("b", 0, measure) == 3, "it is too old"
    memo.clear()
    assert await memo.get("a", 60, measure) == 4
