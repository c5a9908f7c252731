"""A standby of an embedded Postgres, which follows it by streaming."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from activelog.local import embedded
from activelog.local.embedded import EmbeddedPostgres
from tests.conftest import remove_data


@contextmanager
def running(primary: EmbeddedPostgres, folder: Path) -> Iterator[EmbeddedPostgres]:
    standby = EmbeddedPostgres(folder)
    place = standby._place
    program = str(embedded.package_binaries() / "bin" / "pg_basebackup")
    sockets = str(primary._place.sockets)
    command = [program, "-D", str(place.data), "-R",
               "-h", sockets, "-U", "activelog", "--checkpoint=fast"]  # fmt: skip
    subprocess.run(command, check=True)
    if place.owner is not None:
        subprocess.run(["chown", "-R", place.owner, str(place.home)], check=True)
    try:
        with standby:
            yield standby
    finally:
        remove_data(folder)
