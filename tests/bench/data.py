"""Made-up rows, many of them, by SQL."""

import psycopg

from tests.bench.measure import Place

USER = """
INSERT INTO users (email, name, password_hash, verified_at) VALUES (%s, 'Ada', 'none', now())
RETURNING id"""

ACTIVITIES = """
INSERT INTO activities (user_id, activity_date, duration_minutes, distance_km, activity_type, notes,
                        tags, calories)
SELECT %s, timestamptz '2024-01-01' + n * interval '97 seconds', n %% 180,
       round((n %% 42195)::numeric / 1000, 3),
       (ARRAY['running', 'ride', 'yoga', 'swim'])[n %% 4 + 1],
       CASE WHEN n %% 3 = 0 THEN 'Morning run number ' || n ELSE '' END,
       (ARRAY['morning', 'outdoor', 'cardio', 'hills', 'with friends'])[1 : n %% 4], n %% 900
FROM generate_series(1, %s) AS n"""


def quietly(place: Place, statement: str, *params: object) -> None:
    """Without the triggers: rows that lie there are not what is measured."""
    with psycopg.connect(place.url, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(statement.encode(), params)


def make_user(place: Place, email: str, activities: int) -> int:
    user_id = int(str(place.one(USER, email)))
    quietly(place, ACTIVITIES, user_id, activities)
    place.execute("VACUUM ANALYZE activities")
    return user_id
