import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest
import yaml

from activelog.base import resources
from tests.conftest import missing
from tests.processes import run

ROOT = Path(__file__).parent.parent
PORTS = {"api": 8000, "s3": 9000, "mail": 8025, "prometheus": 9090, "grafana": 3000}


def test_a_wheel_brings_its_sql_and_templates(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT], check=True
    )
    [wheel] = tmp_path.glob("activelog-*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(installed)
    for folder in ("sql", "templates"):
        for path in resources.folder(folder).rglob("*"):
            if path.is_file():
                assert f"activelog/{path.relative_to(ROOT)}" in names
    done = run(
        "activelog", "openapi", env=dict(os.environ) | {"PYTHONPATH": str(installed)}, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["info"]["title"] == "ActiveLog"
    where = subprocess.run(
        [sys.executable, "-c", "from activelog.base.resources import folder; print(folder('sql'))"],
        env=dict(os.environ) | {"PYTHONPATH": str(installed)}, cwd=tmp_path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.strip() == str(installed / "activelog" / "sql")


def test_compose_is_valid() -> None:
    schema = os.environ.get("ACTIVELOG_COMPOSE_SCHEMA")
    if not schema:
        missing("the schema of compose files (ACTIVELOG_COMPOSE_SCHEMA)")
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    validator = jsonschema.Draft7Validator(json.loads(Path(str(schema)).read_text()))
    validator.validate(compose)


def test_compose_says_what_it_needs() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = compose["services"]
    assert {"postgres", "s3", "mail", "api", "worker", "prometheus", "grafana"} <= set(services)
    for name, service in services.items():
        image = service["image"].rsplit(":-", 1)[-1].rstrip("}")
        assert ":" in image, name
        assert not image.endswith(":latest"), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (ROOT / source).exists(), source
    for name, port in PORTS.items():
        assert services[name]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_the_example_environment_names_every_setting() -> None:
    example = (ROOT / ".env.example").read_text()
    code = (ROOT / "activelog" / "base" / "settings.py").read_text()
    for name in re.findall(r'"(ACTIVELOG_\w+)"', code):
        assert f"{name}=" in example, name


@pytest.mark.parametrize(
    "command",
    [("activelog", "migrate"), ("activelog", "api"), ("procrastinate", "worker"),
     ("procrastinate", "healthchecks")],
)  # fmt: skip
def test_a_missing_setting_is_one_clear_line(command: tuple[str, ...]) -> None:
    env = {"PATH": os.defpath, "PROCRASTINATE_APP": "activelog.jobs.app"}
    done = run(*command, env=env)
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("activelog: ACTIVELOG_DATABASE_URL must be")
