"""Every statement of sql/queries against the migrated schema, and against the code."""

import re
from pathlib import Path

import psycopg
import pytest
from psycopg import ClientCursor

from activelog import db, resources
from activelog.exports import queries as exports

FILES = sorted(resources.folder("sql").joinpath("queries").glob("*.sql"))
CODE = "\n".join(path.read_text() for path in Path("activelog").rglob("*.py"))
_PARAMETER = re.compile(rb"%\((\w+)\)s")


@pytest.mark.parametrize("feature", [path.stem for path in FILES])
def test_every_statement_fits_the_schema(feature: str, database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        for name, statement in db.queries(feature).items():
            numbers: dict[bytes, int] = {}
            body = statement.rstrip()
            if b"\nCOPY" in b"\n" + body:
                continue  # utility statements cannot be prepared; their tests run them
            if body.rpartition(b"\n")[2].startswith(b"ANALYZE") or b"CREATE TEMPORARY" in body:
                conn.execute(body)  # what follows needs its table
                continue
            prepared = _PARAMETER.sub(
                lambda found, numbers=numbers: (
                    b"$%d" % numbers.setdefault(found[1], len(numbers) + 1)
                ),  # type: ignore[misc]
                body,
            ).replace(b"%%", b"%")
            ClientCursor(conn).execute(f"PREPARE {feature}_{name} AS ".encode() + prepared)


@pytest.mark.parametrize("feature", [path.stem for path in FILES])
def test_every_statement_is_used_and_every_used_one_exists(feature: str) -> None:
    used = set()
    for path in Path("activelog").rglob("*.py"):
        text = path.read_text()
        if f'db.queries("{feature}")' in text:
            used |= set(re.findall(r'(?:_SQL|queries\("\w+"\))\[\s*"(\w+)"', text))
            used |= set(re.findall(r'_SQL\["(\w+)" if \w+ else "\w+"\]', text))
            used |= set(re.findall(r'_SQL\["\w+" if \w+ else "(\w+)"\]', text))
    if feature == "everything":  # which is used as a whole
        used = set(exports.TABLES)
    assert used == set(db.queries(feature))


BARE_KEYS = """
SELECT conrelid::regclass, conname FROM pg_constraint c
JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
WHERE contype = 'f' AND NOT EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1]
      AND coalesce(pg_get_expr(i.indpred, i.indrelid), '') IN ('', format('(%I IS NOT NULL)', a.attname)))
"""  # noqa: E501


def test_deleting_what_others_point_to_reads_no_whole_table(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        assert conn.execute(BARE_KEYS.encode()).fetchall() == []


def test_names_given_twice_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "queries"
    folder.mkdir()
    (folder / "twice.sql").write_text("-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n")
    monkeypatch.setattr(resources, "folder", lambda name: tmp_path)
    with pytest.raises(ValueError, match="two statements named a"):
        db.queries("twice")
