"""Blocking work in threads."""

import asyncio
from collections.abc import Callable
from typing import Any


async def to_the_end(work: Callable[..., None], *arguments: Any) -> None:
    """In a thread, and to its end: a caller that is cancelled may then remove what was stored."""
    thread = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait([thread])
        raise
