"""The API as a program finds it that knows its OpenAPI document only."""

import importlib.util

import pytest

from tests.conftest import missing
from tests.processes import run


@pytest.mark.slow
@pytest.mark.xdist_group("fuzz")
def test_schemathesis_finds_nothing() -> None:
    if importlib.util.find_spec("schemathesis") is None:
        missing("schemathesis")
    ended = run("tests.security.fuzz", "--examples", "1", "--as", "an admin", timeout=600)
    assert ended.returncode == 0, ended.stdout[-4000:]
