"""What scheduled tasks did: a row for each run, with its tick, outcome and counts.

A tick comes as `timestamp` (seconds, UTC) from the schedule; deferred by hand a task gets none, or
a `day`. Missed ticks are made up by the schedule (activelog/queue/schedule.py); a task for which
late is worse than never says so and skips.
"""

from activelog.runs.recorded import Counts, day_of, recorded

__all__ = ["Counts", "day_of", "recorded"]
