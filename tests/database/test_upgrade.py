"""The version before and this one at work on one database, through a migration under load."""

import shutil

import pytest

from tests import processes
from tests.chaos.upgrade import version_before


@pytest.mark.slow
@pytest.mark.xdist_group("upgrade")
def test_both_versions_work_side_by_side_through_a_migration() -> None:
    if shutil.which("git") is None or version_before() is None:
        pytest.skip("the version before is not here: this needs git and the repository's history")
    ended = processes.run("tests.chaos.upgrade", "--seconds", "6", timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
