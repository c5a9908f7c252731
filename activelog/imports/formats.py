"""Whose file it is: Strava's, Garmin's, RunKeeper's, or our own."""

from collections.abc import Sequence

from activelog.imports import garmin, own, runkeeper, strava
from activelog.imports.source import Format


def detect(header: Sequence[str]) -> Format:
    """Raises Permanent for a file of no known kind."""
    names = [name.strip().lower() for name in header]
    for detect_source in (strava.detect, garmin.detect, runkeeper.detect):
        if found := detect_source(names):
            return found
    return own.detect([name.strip() for name in header])
