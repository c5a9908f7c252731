"""Schedules: ticks become jobs (`run_ticks`, a side of each worker), and each run of a scheduled
task leaves a row (`recorded`)."""

from activelog.schedules.runs import Counts, day_of, recorded
from activelog.schedules.ticks import run_ticks

__all__ = ["Counts", "day_of", "recorded", "run_ticks"]
