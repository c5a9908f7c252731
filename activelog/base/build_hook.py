"""Ends an installation at once where Python is too old. (pip before 24 would try every version of
every dependency for minutes.) The build runs this file alone; nothing of ours is installed then."""

import sys
from typing import Any, Dict  # noqa: UP035

from hatchling.metadata.plugin.interface import MetadataHookInterface

OLDEST = (3, 11)


class PythonVersionHook(MetadataHookInterface):  # type: ignore[misc]
    PLUGIN_NAME = "custom"

    def update(self, metadata: Dict[str, Any]) -> None:  # noqa: UP006 - also for older ones
        if sys.version_info < OLDEST:
            found = ".".join(map(str, sys.version_info[:2]))
            sys.exit(f"ActiveLog needs Python 3.11 or newer, and this is Python {found}.")
