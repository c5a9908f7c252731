from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

Event = Literal["activity.created", "export.completed", "report.ready"]

_ID = "d290f1ee-6c54-4b01-90e6-d701748f0851"
Id = Annotated[UUID, Meta(examples=[_ID])]
Url = Annotated[str, Meta(max_length=500, description="an https address")]
Events = Annotated[list[Event], Meta(min_length=1, examples=[["activity.created"]])]
Moment = Annotated[datetime, Meta(examples=["2024-01-15T14:30:00Z"])]


class NewWebhook(msgspec.Struct, forbid_unknown_fields=True):
    url: Url
    events: Events


class CreatedWebhook(msgspec.Struct):
    id: Id
    url: Url
    events: Events
    secret: Annotated[
        str, Meta(description="that signs what is sent; shown only now", examples=["whsec_Zm9v…"])
    ]


class Webhook(msgspec.Struct):
    id: Id
    url: Url
    events: Events
    created_at: Moment
    failing_since: Annotated[datetime | None, Meta(description="null: the last attempt succeeded")]
    disabled_at: Annotated[datetime | None, Meta(description="null: it is in use")]


class Webhooks(msgspec.Struct):
    webhooks: list[Webhook]


class Delivery(msgspec.Struct):
    id: Annotated[UUID, Meta(description="the header webhook-id", examples=[_ID])]
    webhook_id: Id
    url: Url
    event: Annotated[str, Meta(examples=["activity.created"])]
    subject: Annotated[
        str, Meta(description="the activity's id, the job's, the month", examples=["123"])
    ]
    state: Annotated[Literal["queued", "delivered", "failed"], Meta(examples=["delivered"])]
    attempts: Annotated[int, Meta(examples=[1])]
    answer: Annotated[str | None, Meta(description="to the last attempt", examples=["200"])]
    created_at: Moment
    finished_at: datetime | None


class Deliveries(msgspec.Struct):
    """Of the last 30 days, newest first, 100 at most."""

    deliveries: list[Delivery]


class WebhookQuery(msgspec.Struct, forbid_unknown_fields=True):
    id: Id


@dataclass(frozen=True)
class Due:
    """A delivery that is to be made."""

    id: UUID
    webhook_id: UUID
    user_id: int
    event: Event
    subject: str
    created_at: datetime
    url: str
