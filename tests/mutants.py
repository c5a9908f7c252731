"""`python -m tests.mutants [--sample N] [--seed S] [TARGET …]`: breaks the product in small ways,
one at a time, in a copy of it, and runs the tests that should notice.

A mutant is killed when a test fails, and survives when all pass. Prints each mutant with its line,
then how many of each target were killed. A survivor is a missing test, or a change that nobody can
notice: tests/README.md explains those that stay."""

import argparse
import ast
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUICK, ALL = ["-m", "not slow"], list[str]()


@dataclass(frozen=True)
class Target:
    """Files that are broken, and the tests that should notice."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    options: list[str]


TARGETS = {
    "queue": Target(
        ("activelog/queue/*.py", "sql/queue/*.sql"),
        ("tests/queue", "tests/operations/test_metrics.py", "tests/operations/test_search.py"),
        ALL,
    ),
    "outbox": Target(
        ("activelog/mail/outbox.py", "activelog/mail/queries.py", "sql/mail/*.sql"),
        (
            *("tests/mail", "tests/friends", "tests/accounts", "tests/retention"),
            *("tests/statistics", "tests/exports"),
        ),
        QUICK,
    ),
    "tickets": Target(
        ("activelog/tickets/*.py", "sql/tickets/*.sql"),
        ("tests/tickets", "tests/exports", "tests/imports", "tests/retention"),
        QUICK,
    ),
    "limits": Target(
        ("activelog/database/rate_limits.py", "sql/database/*.sql"),
        ("tests/database", "tests/accounts", "tests/http", "tests/retention", "tests/friends"),
        QUICK,
    ),
    "auth": Target(
        ("activelog/base/auth.py", "activelog/http/sessions.py", "sql/accounts/queries.sql"),
        (
            *("tests/security/test_sessions.py", "tests/accounts", "tests/http", "tests/retention"),
            "tests/exports",
        ),
        QUICK,
    ),
}


@dataclass(frozen=True)
class Mutant:
    path: Path  # below the root
    line: int
    change: str
    text: str  # of the whole file


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.mutants")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--sample", type=int, default=20, help="mutants of each target")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    killed, tried = Counter[str](), Counter[str]()
    for name in arguments.targets or TARGETS:
        mutants = list(_mutants(TARGETS[name]))
        chosen = random.Random(arguments.seed).sample(mutants, min(arguments.sample, len(mutants)))
        for mutant in chosen:
            is_killed = _is_killed(mutant, TARGETS[name])
            tried[name] += 1
            killed[name] += is_killed
            word = "killed  " if is_killed else "SURVIVED"
            print(f"{word} {mutant.path}:{mutant.line}: {mutant.change}", flush=True)
    for name, count in tried.items():
        print(f"{name}: {killed[name]} of {count} killed ({killed[name] / count:.0%})")
    print(f"all: {killed.total()} of {tried.total()} killed ({killed.total() / tried.total():.0%})")


def _is_killed(mutant: Mutant, target: Target) -> bool:
    with tempfile.TemporaryDirectory(prefix="activelog-mutant-") as name:
        copy = Path(name) / "activelog"
        ignored = shutil.ignore_patterns(
            ".git", ".venv", ".*_cache", "__pycache__", "var", "artifacts"
        )
        shutil.copytree(ROOT, copy, ignore=ignored)
        (copy / mutant.path).write_text(mutant.text)
        command = [sys.executable, "-m", "pytest", "-x", *target.options, *target.tests]
        try:
            done = subprocess.run(command, cwd=copy, capture_output=True, timeout=400)
        except subprocess.TimeoutExpired:
            return True
        return done.returncode != 0


def _mutants(target: Target) -> Iterator[Mutant]:
    for pattern in target.files:
        for path in sorted(ROOT.glob(pattern)):
            text = path.read_text()
            find = _of_python if path.suffix == ".py" else _of_sql
            for line, change, mutated in find(text):
                yield Mutant(path.relative_to(ROOT), line, change, mutated)


# Python: comparisons flipped, `not` and calls dropped, `and` for `or`

_FLIPPED = {
    ast.Lt: ast.GtE(), ast.GtE: ast.Lt(), ast.Gt: ast.LtE(), ast.LtE: ast.Gt(), ast.Eq: ast.NotEq(),
    ast.NotEq: ast.Eq(), ast.Is: ast.IsNot(), ast.IsNot: ast.Is(), ast.In: ast.NotIn(),
    ast.NotIn: ast.In(),
}  # fmt: skip


def _of_python(text: str) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(ast.parse(text)):
        new: str | None = None
        if isinstance(node, ast.Compare):
            ops = [_FLIPPED[type(node.ops[0])], *node.ops[1:]]
            new = ast.unparse(ast.Compare(node.left, ops, node.comparators))
        elif isinstance(node, ast.BoolOp):
            other = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
            new = ast.unparse(ast.BoolOp(other, node.values))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            new = ast.unparse(node.operand)
        elif isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Await)):
            if "log" in ast.unparse(node):
                continue  # what a log says is not a promise
            new = "pass"
        if new is not None and isinstance(node, (ast.expr, ast.stmt)):
            old = ast.get_source_segment(text, node) or ""
            change = f"{' '.join(old.split())} -> {new}"
            yield node.lineno, change, _with(text, node, new)


def _with(text: str, node: ast.expr | ast.stmt, new: str) -> str:
    lines = text.encode().splitlines(keepends=True)
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    before = b"".join(lines[:first]) + lines[first][: node.col_offset]
    after = lines[last][node.end_col_offset :] + b"".join(lines[last + 1 :])
    new = f"({new})" if isinstance(node, ast.expr) else new
    return (before + new.encode() + after).decode()


# SQL: locks and fences dropped, conditions dropped, comparisons flipped

_SQL = [
    (re.compile(r" SKIP LOCKED"), ""),
    (re.compile(r"FOR (NO KEY )?UPDATE( OF \w+)?"), ""),
    (re.compile(r"\bNOT EXISTS\b"), "EXISTS"),
    (re.compile(r" AND (?=[^()]*$)[^()]*$"), " "),
    (re.compile(r"^\s*AND [^()]*$"), ""),
    (re.compile(r" < "), " >= "),
    (re.compile(r" <= "), " > "),
    (re.compile(r" > "), " <= "),
    (re.compile(r"\bIS NOT NULL\b"), "IS NULL"),
    (re.compile(r"\bgreatest\("), "least("),
]


def _of_sql(text: str) -> Iterator[tuple[int, str, str]]:
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line.lstrip().startswith("--") or "BETWEEN" in line:
            continue
        for pattern, new in _SQL:
            changed = pattern.sub(new, line, count=1)
            if changed != line:
                change = f"{line.strip()} -> {changed.strip() or '(dropped)'}"
                yield (
                    number + 1,
                    change,
                    "\n".join([*lines[:number], changed, *lines[number + 1 :]]),
                )


if __name__ == "__main__":
    main()
