"""What people's actions cost Postgres creeps up unseen, a statement at a time."""

import pytest

from activelog.base.settings import Settings
from activelog.local.embedded import EmbeddedPostgres
from tests.bench.cost import costs, costs_of_table

pytestmark = pytest.mark.slow


async def test_no_action_costs_more_than_the_table_says(
    settings: Settings, postgres: EmbeddedPostgres
) -> None:
    found, table = await costs(settings, postgres), costs_of_table()
    assert found.keys() == table.keys()
    for action, cost in found.items():
        known = table[action]
        assert cost.statements <= 1.1 * known.statements + 1, (action, cost, known)
        if action == "a minute of nothing":
            continue  # what vacuum writes meanwhile is the most of it
        assert cost.commits <= 1.1 * known.commits + 2, (action, cost, known)
        assert cost.wal <= 1.5 * known.wal + 2_000, (action, cost, known)
