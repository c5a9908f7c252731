from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

IMPORT = "import"  # the kind of its ticket


class ImportQuery(msgspec.Struct, forbid_unknown_fields=True):
    dry_run: Annotated[bool, Meta(description="report what it would do, and do nothing")] = False


@dataclass(frozen=True)
class Import:
    object_key: str
    dry_run: bool
