from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Id = Annotated[int, Meta(examples=[7])]
Name = Annotated[str, Meta(examples=["John"])]
Moment = Annotated[datetime, Meta(examples=["2024-01-15T14:30:00Z"])]
Cursor = Annotated[str | None, Meta(description="null on the last page")]


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=254, examples=["john@example.com"])]


class Asked(msgspec.Struct):
    message: Annotated[str, Meta(examples=["friend request sent"])]


class FriendRequest(msgspec.Struct):
    id: Id
    from_id: Id
    from_name: Name
    from_address: Annotated[
        str, Meta(description="of whoever asks you", examples=["john@example.com"])
    ]
    created_at: Moment


class SentRequest(msgspec.Struct):
    email: Annotated[str, Meta(examples=["john@example.com"])]
    asked_at: Moment


class SentRequests(msgspec.Struct):
    """Those without an answer, newest first, 100 at most; each for 60 days, whether somebody has
    that address or not."""

    requests: list[SentRequest]


class FriendRequests(msgspec.Struct):
    """Those that wait for an answer, newest first, 100 at most."""

    requests: list[FriendRequest]


class Friend(msgspec.Struct):
    user_id: Id
    name: Name
    since: Moment


class PageQuery(msgspec.Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str | None, Meta(description="next_cursor of the page before")] = None


class FriendPage(msgspec.Struct):
    friends: list[Friend]
    next_cursor: Cursor


class Blocked(msgspec.Struct):
    user_id: Id
    name: Name
    since: Moment


class BlockedPage(msgspec.Struct):
    blocked: list[Blocked]
    next_cursor: Cursor


class Notification(msgspec.Struct):
    id: Id
    kind: Annotated[
        Literal["friend_request", "friend_accepted", "friend_activity"],
        Meta(examples=["friend_activity"]),
    ]
    actor_id: Id
    actor_name: Name
    activity_id: Annotated[int | None, Meta(description="of a friend_activity")]
    activity_type: Annotated[str | None, Meta(examples=["running"])]
    request_id: Annotated[int | None, Meta(description="of a friend_request")]
    created_at: Moment
    read_at: Annotated[datetime | None, Meta(description="null while it is unread")]


class NotificationPage(msgspec.Struct):
    """Newest first."""

    notifications: list[Notification]
    unread: Annotated[int, Meta(description="of all, counted up to 100")]
    next_cursor: Cursor


@dataclass(frozen=True)
class Asking:
    """Somebody whose request a mail tells of; `total`: so many wait."""

    name: str
    total: int


@dataclass(frozen=True)
class Activity:
    """What a mail tells of a friend's activity; `total`: there are as many."""

    name: str
    activity_type: str
    duration_minutes: int
    distance_km: float
    total: int
