"""`activelog verify`: rows and stored objects held against each other, as after a restore. Memory
is constant; the storage is asked for the list of each person's objects."""

from collections.abc import AsyncIterator

from activelog import database
from activelog.base.settings import Settings
from activelog.retention import queries
from activelog.services import Services, make_services

_PAGE = 1000


async def verify(settings: Settings) -> AsyncIterator[tuple[str, bool]]:
    """Lines for people, and whether each is good. An object that no row needs counts
    as good: the nightly clean-up removes it when it is a day old."""
    async with database.command_pool(settings, "activelog verify") as pool:
        services = make_services(settings, pool)
        lost = left = 0
        async for key in missing(services):
            lost += 1
            yield f"{key} is missing: a row needs it", False
        async for key in unneeded(services):
            left += 1
            yield f"{key} is left over: no row needs it", True
        yield f"{lost:,} objects are missing, {left:,} are left over", not lost


async def missing(services: Services) -> AsyncIterator[str]:
    """Keys that rows need and the storage does not have."""
    sweeps = dict(queries.objects())
    for folder, statement in queries.needed_objects():
        after = ""
        while keys := await _needed(services, statement, after):
            after = keys[-1]
            stored = await _stored(services, keys)
            lost = [key for key in keys if key not in stored]
            gone = await _unneeded(services, sweeps[folder], lost)  # meanwhile
            for key in lost:
                if key not in gone:
                    yield key


async def unneeded(services: Services) -> AsyncIterator[str]:
    """Keys that the storage has and no row needs."""
    for folder, statement in queries.objects():
        async for page in services.storage.walk(f"{folder}/", _PAGE):
            for key in await _unneeded(services, statement, [stored.key for stored in page]):
                yield key


async def _unneeded(services: Services, statement: bytes, keys: list[str]) -> list[str]:
    async with services.pool.connection() as conn:
        return await queries.orphans(conn, statement, keys)


async def _needed(services: Services, statement: bytes, after: str) -> list[str]:
    async with services.pool.connection() as conn:
        return await queries.needed(conn, statement, after, _PAGE)


async def _stored(services: Services, keys: list[str]) -> set[str]:
    """Those of the keys that are there; `keys` are of few people, since they come in order."""
    wanted, found = set(keys), set[str]()
    for prefix in {key.rpartition("/")[0] for key in keys}:
        async for page in services.storage.walk(f"{prefix}/", _PAGE):
            found |= wanted & {stored.key for stored in page}
    return found
