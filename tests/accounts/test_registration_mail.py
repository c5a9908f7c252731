"""Whoever registers hears whether the mail with the link could be delivered, and nothing else."""

import pytest

from tests.conftest import World

NEW, OWNED = "eva@example.com", "ada@example.com"
FIVE_SECONDS_LATER = "UPDATE mails SET created_at = created_at - interval '6 seconds'"


async def register(world: World, address: str) -> str:
    """The token that registering gave."""
    answer = await world.register(address)
    await world.rows(FIVE_SECONDS_LATER)
    return str(answer.json()["token"])


async def fate(world: World, token: str) -> str:
    bearer = {"Authorization": f"Bearer {token}"}
    answer = await world.http.get("/api/v1/auth/registration", headers=bearer)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["mail"])


async def shown(world: World, token: str) -> str:
    data, ours = {"registration": token}, {"Origin": world.settings.base_url}
    return (await world.http.post("/registered", data=data, headers=ours)).text


async def test_a_refused_mail_is_told_in_the_page_and_the_api(world: World) -> None:
    token = await register(world, NEW)
    assert await fate(world, token) == "queued"
    assert "Nothing came back so far" in await shown(world, token)
    refused = "UPDATE mails SET state = 'failed', answer = '550 RCPT: who?', finished_at = now()"
    await world.rows(refused)
    assert await fate(world, token) == "refused"
    page = await shown(world, token)
    assert "could not be delivered" in page
    assert NEW in page
    await world.rows("UPDATE mails SET answer = 'its job ended without it'")
    assert await fate(world, token) == "failed"
    assert "Try again later" in await shown(world, token)


async def test_it_is_the_same_for_an_address_with_an_account(world: World) -> None:
    await world.user(OWNED)
    for address in (NEW, OWNED):
        token = await register(world, address)
        assert await fate(world, token) == "queued"
        await world.work()
        assert await fate(world, token) == "queued"
        await world.rows("UPDATE mails SET state = 'queued', answer = NULL WHERE state = 'sent'")
        assert await fate(world, token) == "queued"
        await world.rows(
            "UPDATE mails SET state = 'failed', answer = '550 RCPT: no' WHERE answer IS NULL"
        )
        assert await fate(world, token) == "refused"


@pytest.mark.parametrize("address", [NEW, OWNED])
async def test_how_soon_it_is_known_tells_nothing(world: World, address: str) -> None:
    """Of a registration, and of a link that is sent again."""
    await world.user(OWNED)
    token = (await world.register(address)).json()["token"]
    refused = "UPDATE mails SET state = 'failed', answer = '550 RCPT: no'"
    await world.work()
    await world.rows(refused)
    assert await fate(world, token) == "queued"
    await world.rows(FIVE_SECONDS_LATER)
    assert await fate(world, token) == "refused"
    bearer = {"Authorization": f"Bearer {token}"}
    await world.http.post("/api/v1/auth/resend-verification", headers=bearer)
    await world.work()
    await world.rows(refused)
    assert await fate(world, token) == "queued"


async def test_a_verified_address_and_a_wrong_token_have_no_answer(world: World) -> None:
    token = await register(world, NEW)
    await world.rows("UPDATE users SET verified_at = now()")
    data, ours = {"registration": token}, {"Origin": world.settings.base_url}
    there = await world.http.post("/registered", data=data, headers=ours)
    assert (there.status_code, there.headers["location"]) == (303, "/sign-in")
    for said, code in ((token, 409), ("x", 401)):
        bearer = {"Authorization": f"Bearer {said}"}
        answer = await world.http.get("/api/v1/auth/registration", headers=bearer)
        assert answer.status_code == code
