import asyncio

from tests.conftest import User, World


async def ask(user: User, address: str) -> None:
    asked = await user.post("/api/v1/friends/requests", json={"email": address})
    assert asked.status_code == 202
    assert asked.json() == {"message": "friend request sent"}


async def befriend(one: User, other: User) -> None:
    await ask(one, other.address)
    [request] = (await other.get("/api/v1/friends/requests")).json()["requests"]
    accepted = await other.post(f"/api/v1/friends/requests/{request['id']}/accept")
    assert accepted.status_code == 204


async def names(user: User) -> list[int]:
    return [friend["user_id"] for friend in (await user.get("/api/v1/friends")).json()["friends"]]


async def test_a_request_is_mailed_accepted_and_told_of(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    await ask(ada, "BOB@example.com")
    await world.make_due()
    await world.work()
    [mail] = world.mails(bob.address)
    assert mail["Subject"] == "Friend Request from Ada"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    [request] = (await bob.get("/api/v1/friends/requests")).json()["requests"]
    path = f"/api/v1/friends/requests/{request['id']}/accept"
    assert (await ada.post(path)).status_code == 404
    assert (await bob.post(path)).status_code == 204
    assert (await bob.post(path)).status_code == 404
    assert await names(ada) == [bob.id]
    assert await names(bob) == [ada.id]
    [told] = (await ada.get("/api/v1/notifications")).json()["notifications"]
    assert told["kind"] == "friend_accepted"
    assert (await ada.call("DELETE", f"/api/v1/friends/{bob.id}")).status_code == 204
    assert (await ada.call("DELETE", f"/api/v1/friends/{bob.id}")).status_code == 404
    assert await names(bob) == []


async def test_who_is_blocked_cannot_accept_what_was_asked_before(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    await ask(ada, bob.address)
    await ask(bob, ada.address)
    [of_bob] = (await ada.get("/api/v1/friends/requests")).json()["requests"]
    [of_ada] = (await bob.get("/api/v1/friends/requests")).json()["requests"]
    path = "/api/v1/friends/requests/{}/{}"
    assert (await ada.post(path.format(of_bob["id"], "block"))).status_code == 204
    assert (await bob.post(path.format(of_ada["id"], "accept"))).status_code == 404
    assert await names(bob) == []


async def test_who_wants_mails_again_is_not_told_of_all_that_happened_meanwhile(
    world: World,
) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    await befriend(ada, bob)
    await world.rows("DELETE FROM mails")
    path = "/api/v1/users/me/mail-preferences"
    await bob.call("PATCH", path, json={"friend_activity": False})
    await ada.log()
    await world.work()
    await world.make_due()
    await world.work()
    assert world.mails(bob.address) == []
    await world.rows("UPDATE notifications SET created_at = now() - interval '8 days'")
    await bob.call("PATCH", path, json={"friend_activity": True})
    await ada.log()
    await world.make_due()
    await world.work()
    await world.make_due()
    await world.work()
    [mail] = world.mails(bob.address)
    assert "2" not in mail["Subject"], mail["Subject"]


async def test_both_accept_at_once(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    for _ in range(10):
        await ask(ada, bob.address)
        await ask(bob, ada.address)
        paths = []
        for user in (ada, bob):
            [request] = (await user.get("/api/v1/friends/requests")).json()["requests"]
            paths.append((user, f"/api/v1/friends/requests/{request['id']}/accept"))
        answers = await asyncio.gather(*(user.post(path) for user, path in paths))
        assert {answer.status_code for answer in answers} <= {204, 404}
        assert await names(ada) == [bob.id]
        await ada.call("DELETE", f"/api/v1/friends/{bob.id}")


async def test_asking_tells_nobody_who_is_there(world: World) -> None:
    ada = await world.user()
    for address in ("nobody@example.com", ada.address, "nonsense", "a@müller.de"):
        await ask(ada, address)
    assert await world.value("SELECT count(*) FROM friend_requests") == 0
    assert await world.value("SELECT count(*) FROM procrastinate_jobs") == 0


async def test_requests_of_ten_minutes_are_one_mail(world: World) -> None:
    bob = await world.user("bob@example.com")
    for number in range(5):
        ada = await world.user(f"ada{number}@example.com")
        await ask(ada, bob.address)
        await ask(ada, bob.address)
    await world.make_due()
    await world.work()
    [mail] = world.mails(bob.address)
    assert mail["Subject"] == "5 friend requests, from Ada and others"
    assert await world.value("SELECT count(*) FROM friend_requests") == 5
    assert (await bob.get("/api/v1/notifications")).json()["unread"] == 5


async def test_more_than_a_mail_shows_are_counted(world: World) -> None:
    bob = await world.user("bob@example.com")
    await world.rows(
        "INSERT INTO users (email, name, password_hash, verified_at)"
        " SELECT n || '@x.test', 'Ada', 'none', now() FROM generate_series(1, 24) AS n"
    )
    await world.rows(
        "INSERT INTO friend_requests (from_id, to_id) SELECT id, %s FROM users WHERE name = 'Ada'"
        " AND id <> %s",
        bob.id,
        bob.id,
    )
    await ask(await world.user(), bob.address)
    await world.make_due()
    await world.work()
    [mail] = world.mails(bob.address)
    assert mail["Subject"] == "25 friend requests, from Ada and others"
    assert "and 5 more" in mail.get_body(("plain",)).get_content()
    assert "and 5 more" in mail.get_body(("html",)).get_content()


async def test_who_is_no_friend_any_more_is_not_told_of(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    await befriend(ada, bob)
    await ada.log()
    await world.work()
    await world.rows("DELETE FROM procrastinate_jobs WHERE task_name = 'activelog.friends.request'")
    assert (await ada.call("DELETE", f"/api/v1/friends/{bob.id}")).status_code == 204
    await world.make_due()
    await world.work()
    assert world.mails(bob.address) == []


async def test_declining_and_blocking(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    for answer, asked_again in (("decline", 1), ("block", 0)):
        await ask(ada, bob.address)
        [request] = (await bob.get("/api/v1/friends/requests")).json()["requests"]
        path = f"/api/v1/friends/requests/{request['id']}/{answer}"
        assert (await bob.post(path)).status_code == 204
        await ask(ada, bob.address)
        waiting = (await bob.get("/api/v1/friends/requests")).json()["requests"]
        assert len(waiting) == asked_again
        await world.rows("DELETE FROM friend_requests")
    await world.make_due()
    await world.work()
    assert world.mails(bob.address) == []  # nothing is left to tell


async def test_who_is_unblocked_can_ask_again(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    eve = await world.user("eve@example.com")
    for asker in (ada, eve):
        await ask(asker, bob.address)
    for request in (await bob.get("/api/v1/friends/requests")).json()["requests"]:
        await bob.post(f"/api/v1/friends/requests/{request['id']}/block")
    first = (await bob.get("/api/v1/friends/blocked?limit=1")).json()
    rest = (await bob.get(f"/api/v1/friends/blocked?cursor={first['next_cursor']}")).json()
    listed = first["blocked"] + rest["blocked"]
    assert [one["user_id"] for one in listed] == [ada.id, eve.id]
    assert rest["next_cursor"] is None
    path = f"/api/v1/friends/blocked/{ada.id}"
    assert (await ada.call("DELETE", path)).status_code == 404, "a block is its owner's"
    assert (await bob.call("DELETE", path)).status_code == 204
    assert (await bob.call("DELETE", path)).status_code == 404
    for asker in (ada, eve):
        await ask(asker, bob.address)
    [request] = (await bob.get("/api/v1/friends/requests")).json()["requests"]
    assert request["from_id"] == ada.id


async def test_friends_hear_of_activities_in_one_mail(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    eve = await world.user("eve@example.com")
    await befriend(ada, bob)
    await world.rows("DELETE FROM procrastinate_jobs")
    for _ in range(3):
        await ada.log(activity_type="晚间跑步")
    gone = await ada.log(activity_type="secret")
    await world.work()
    await world.rows("UPDATE procrastinate_jobs SET status = 'todo'")  # notify runs twice
    await world.work()
    await ada.call("DELETE", f"/api/v1/activities/{gone['id']}")
    await world.make_due()
    await world.work()
    [mail] = world.mails(bob.address)
    assert mail["Subject"] == "3 new activities of your friends"
    assert "secret" not in mail.get_body(("plain",)).get_content()
    page = (await bob.get("/api/v1/notifications?limit=2")).json()
    assert [told["activity_type"] for told in page["notifications"]] == ["晚间跑步"] * 2
    rest = (await bob.get(f"/api/v1/notifications?cursor={page['next_cursor']}")).json()
    assert len(rest["notifications"]) == 2  # one activity, and the request
    assert (await bob.post("/api/v1/notifications/read")).status_code == 204
    assert (await bob.get("/api/v1/notifications")).json()["unread"] == 0
    assert (await eve.get("/api/v1/notifications")).json()["notifications"] == []
    assert world.mails(eve.address) == []


async def test_an_address_is_found_however_it_is_spelt(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@xn--mller-kva.de")
    await ask(ada, " Bob@Müller.de ")
    assert len((await bob.get("/api/v1/friends/requests")).json()["requests"]) == 1


async def test_places_that_do_not_fit_are_refused(world: World) -> None:
    ada = await world.user()
    for path in ("/api/v1/notifications", "/api/v1/friends"):
        refused = await ada.get(f"{path}?cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTld")
        assert refused.status_code == 400
    nines = "9" * 5000
    assert (await world.http.get(f"/unsubscribe?token={nines}.weekly_summary.x")).status_code == 404


async def sent(user: User) -> list[str]:
    found = (await user.get("/api/v1/friends/requests/sent")).json()["requests"]
    return [one["email"] for one in found]


async def test_what_one_asked_is_listed_whoever_has_that_address(world: World) -> None:
    ada, bob, eve = [await world.user(f"{name}@example.com") for name in ("ada", "bob", "eve")]
    for address in ("bob@example.com", "Nobody@example.com", "eve@example.com"):
        await ask(ada, address)
    await eve.post(f"/api/v1/friends/requests/{await waiting(eve)}/decline")
    assert await sent(ada) == ["eve@example.com", "nobody@example.com", "bob@example.com"]
    await bob.post(f"/api/v1/friends/requests/{await waiting(bob)}/accept")
    assert await sent(ada) == ["eve@example.com", "nobody@example.com"]
    await ask(ada, "bob@example.com")
    assert "bob@example.com" not in await sent(ada), "they are friends"
    assert await sent(bob) == []


async def waiting(user: User) -> int:
    [request] = (await user.get("/api/v1/friends/requests")).json()["requests"]
    assert request["from_address"] == "ada@example.com"
    return int(request["id"])


async def test_what_one_asked_can_be_taken_back(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    for address in ("bob@example.com", "nobody@example.com"):
        await ask(ada, address)
        path = f"/api/v1/friends/requests/sent?email={address.upper()}"
        assert (await ada.call("DELETE", path)).status_code == 204
        assert (await ada.call("DELETE", path)).status_code == 404
    assert (await bob.get("/api/v1/friends/requests")).json()["requests"] == []
    assert await sent(ada) == []
    await world.make_due()
    await world.work()
    assert world.mails(bob.address) == []


async def test_a_friend_can_be_blocked(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    await befriend(ada, bob)
    assert (await ada.post(f"/api/v1/friends/{bob.id}/block")).status_code == 204
    assert (await names(ada), await names(bob)) == ([], [])
    await ask(bob, ada.address)
    assert (await ada.get("/api/v1/friends/requests")).json()["requests"] == []
    assert (await ada.post(f"/api/v1/friends/{bob.id}/block")).status_code == 404
