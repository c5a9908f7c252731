"""ActiveLog: activities by REST; mails, exports and schedules as jobs on Postgres alone.

Arrows only point down: entries (`__main__`, `jobs`, `web`) → features (`accounts`, `activities`,
`exports`) → shared mechanisms (`outbox`, `tickets`, `services`) → edges (`db`, `queue`,
`storage`, `mail`, `auth`, `api`, `pages`) → `settings`, `errors`. An import-linter contract in
pyproject.toml holds it so.
"""

__version__ = "0.1.0"
