from datetime import date, timedelta

from activelog.base import auth
from activelog.services import Services

_GOOD_FOR = timedelta(days=30)
_PURPOSE = "report"


def download_url(services: Services, user_id: int, month: date) -> str:
    """A link that works without a token, in a mail too."""
    expires = int((services.clock() + _GOOD_FOR).timestamp())
    signature = auth.sign(services.settings.secret, _PURPOSE, user_id, month, expires)
    return (
        f"{services.settings.base_url}/api/v1/reports/{month:%Y-%m}/download"
        f"?user={user_id}&expires={expires}&signature={signature}"
    )


def is_genuine(services: Services, user_id: int, month: date, expires: int, signature: str) -> bool:
    secret = services.settings.secret
    return auth.check_signature(signature, secret, _PURPOSE, user_id, month, expires)
