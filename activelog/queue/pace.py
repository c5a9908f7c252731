"""When a worker looks for jobs again, and whether new ones need to wake it.

A NOTIFY serialises the commits of those who enqueue, so a worker whose slots are all taken says
that it is busy: it looks anyway whenever one of its jobs ends.
"""

BUSY_TURNS = 3  # in a row without a free slot
# After it was busy, a job may have been written without a wake-up and committed a moment later.
LATE_COMMITS = (0.05, 0.25, 1.0)  # seconds
# A job that seems ready and was not to be had: another worker is claiming it, or has left it.
FIRST_LOOK, LONGEST_LOOK = 0.01, 0.5  # seconds


class Pace:
    def __init__(self) -> None:
        self._full_turns = 0
        self._late_commits: list[float] = []
        self._look = FIRST_LOOK

    def turned(self, *, free_slots: int) -> bool | None:
        """After each turn: whether the worker is busy now; None when that is as before."""
        was_busy = self._full_turns >= BUSY_TURNS
        self._full_turns = 0 if free_slots else self._full_turns + 1
        is_busy = self._full_turns >= BUSY_TURNS
        if was_busy and not is_busy:
            self._late_commits = list(LATE_COMMITS)
        return None if was_busy == is_busy else is_busy

    def claimed_some(self) -> None:
        self._look = FIRST_LOOK

    def pause(self, ready: float | None, poll: float) -> float:
        """Seconds until the next turn: `ready` says when a job can start, None when none waits."""
        if ready is not None and ready <= 0:
            look, self._look = self._look, min(2 * self._look, LONGEST_LOOK)
            return look
        late = self._late_commits.pop(0) if self._late_commits else None
        return min([poll, *(seconds for seconds in (ready, late) if seconds is not None)])
