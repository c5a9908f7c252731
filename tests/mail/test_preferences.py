import re

from tests.conftest import World
from tests.friends.test_friends import ask
from tests.http.test_pages import sign_in_admin

PATH = "/api/v1/users/me/mail-preferences"


async def test_one_click_unsubscribes_without_a_login(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    await ask(ada, bob.address)
    await world.make_due()
    await world.work()
    [mail] = world.mails(bob.address)
    raw = next((world.settings.mail.path).glob("*.eml")).read_bytes()  # type: ignore[union-attr]
    header = re.search(
        rb"^List-Unsubscribe: <(http://activelog.test/[^>\s]+)>\r$", raw, re.MULTILINE
    )
    assert header is not None, "a mail program must find it on one line, as it is"
    url = header[1].decode()
    assert url in mail.get_body(("plain",)).get_content()

    seen = await world.http.get(url)
    assert "Friend requests" in seen.text
    assert (await bob.get(PATH)).json()["friend_request"] is True, "a scanner must change nothing"
    clicked = await world.http.post(url, content="List-Unsubscribe=One-Click")
    assert clicked.status_code == 200
    assert (await bob.get(PATH)).json()["friend_request"] is False
    for wrong in (
        url[:-1] + ("a" if url[-1] != "a" else "b"),
        url.replace("friend_request", "weekly_summary"),
    ):
        assert (await world.http.post(wrong)).status_code == 404
    assert (await bob.get(PATH)).json()["weekly_summary"] is True


async def test_what_is_not_wanted_is_skipped_and_says_so(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    changed = await bob.call("PATCH", PATH, json={"friend_request": False})
    assert changed.json()["friend_request"] is False
    assert changed.json()["friend_activity"] is True
    await ask(ada, bob.address)
    await world.make_due()
    await world.work()
    assert world.mails(bob.address) == []
    assert await world.rows("SELECT state, answer FROM mails") == [("skipped", "not wanted")]
    assert (await bob.call("PATCH", PATH, json={"verification": False})).status_code == 400


async def test_a_verification_cannot_be_unsubscribed(world: World) -> None:
    await world.register("ada@example.com")
    await world.work()
    for mail in world.mails("ada@example.com"):
        assert mail["List-Unsubscribe"] is None
        assert "unsubscribe" not in str(mail).lower()


async def test_enough_of_a_kind_is_enough_for_a_day(world: World) -> None:
    bob = await world.user("bob@example.com")
    await world.rows(
        "INSERT INTO mails (kind, user_id, dedup_key, message_id, state)"
        " SELECT 'friend_request', %s, 'x' || n, '', 'sent' FROM generate_series(1, 10) n",
        bob.id,
    )
    await ask(await world.user(), bob.address)
    await world.make_due()
    await world.work()
    assert world.mails(bob.address) == []
    assert await world.value("SELECT answer FROM mails WHERE state = 'skipped'") is not None


async def test_mails_are_previewed_in_either_look(world: World) -> None:
    await sign_in_admin(world)
    page = (await world.http.get("/dev/mails?look=dark")).text
    assert 'src="/dev/mails/welcome?look=dark"' in page
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in page
    dark = (await world.http.get("/dev/mails/welcome?look=dark")).text
    light = (await world.http.get("/dev/mails/welcome?look=light")).text
    assert "@media all {" in dark
    assert "@media not all {" in light
    assert "prefers-color-scheme" in (await world.http.get("/dev/mails/welcome")).text


async def test_mailboxes_can_sort_by_list(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    await ada.post("/api/v1/friends/requests", json={"email": bob.address})
    await world.http.post("/api/v1/auth/forgot-password", json={"email": ada.address})
    await world.make_due()
    await world.work()
    [listed], [personal] = world.mails(bob.address), world.mails(ada.address)
    assert listed["List-Id"].startswith("<friend_request.")
    assert (listed["Precedence"], listed["Feedback-ID"]) == ("bulk", "friend_request:activelog")
    assert personal["List-Id"] is None
    assert personal["Feedback-ID"] == "password_reset:activelog"
