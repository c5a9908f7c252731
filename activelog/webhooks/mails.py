from activelog.mail import Claim, Content, MailKind
from activelog.services import Services
from activelog.webhooks import queries


async def _disabled(services: Services, claim: Claim) -> Content:
    """Nothing to tell once it is removed or in use again."""
    _, _, webhook_id = claim.dedup_key.partition(" ")
    async with services.pool.connection() as conn:
        found = await queries.webhooks(conn, claim.user_id)
    urls = [one.url for one in found if str(one.id) == webhook_id and one.disabled_at]
    return {"url": urls[0]} if urls else None


DISABLED = MailKind(
    "webhook_disabled",
    "activelog.webhooks.disabled",
    "default",
    key="dedup_key",
    content=_disabled,
    fixture={"url": "https://example.com/activelog"},
    cap=10,
    reason="because you have a webhook",
)

MAILS = (DISABLED,)
