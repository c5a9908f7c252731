from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds; what tests make shorter."""

    silence: float = 6.0  # without a heartbeat for so long, a worker is dead
    stock_silence: float = 30.0  # one of the engine's own, which beats every ten seconds
    blocked: float = 60.0  # with its event loop blocked for so long, a worker falls silent
    outage: float = 300.0  # with Postgres away for so long, a worker gives up
    reconcile: float = 60.0  # between two looks for claims whose answer was lost
