"""ActiveLog: activities by REST; mails, exports and schedules as jobs on Postgres alone.

README.md in this folder is the map. Arrows only point down: an import-linter contract in
pyproject.toml holds Python to it, tests/database/test_sql.py holds SQL to it.
"""

__version__ = "0.1.0"
