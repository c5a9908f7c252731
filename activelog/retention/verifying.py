"""`activelog verify`: rows and stored objects held against each other, as after a restore. Memory
is constant; a page of rows costs a list of the objects of each person in it."""

from collections.abc import AsyncIterator

from activelog import database
from activelog.base.settings import Settings
from activelog.retention import queries
from activelog.services import Services, make_services

_PAGE = 1000


async def verify(settings: Settings) -> AsyncIterator[tuple[str, bool]]:
    """Lines for people, and whether each is good. An object that no row needs is: the nightly
    clean-up removes it when it is a day old."""
    pool = database.make_pool(
        settings.database_url,
        max_size=2,
        application="activelog verify",
        is_pooled=settings.is_pooled,
    )
    async with pool:
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
    for statement in queries.needed_objects():
        after = ""
        while keys := await _needed(services, statement, after):
            after = keys[-1]
            stored = await _stored(services, keys)
            for key in keys:
                if key not in stored:
                    yield key


async def unneeded(services: Services) -> AsyncIterator[str]:
    """Keys that the storage has and no row needs."""
    for folder, statement in queries.objects():
        async for page in services.storage.walk(f"{folder}/", _PAGE):
            async with services.pool.connection() as conn:
                found = await queries.orphans(conn, statement, [stored.key for stored in page])
            for key in found:
                yield key


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
