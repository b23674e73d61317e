"""Deploy the flows to Cloud Composer, and delete them there (`make composer-deploy`, `composer-delete`).

A deployment consists of packages in the environment and of files below `dags/` in its bucket:

    taxi_ingest.py ...         the DAG files
    taxi_airflow/, nyc_taxi/   their imports
    mage_project/rules.yaml, mage_project/transformers/derive_trips.py, io_config.yaml
                              the package's default files, or those that TAXI_RULES, TAXI_TRANSFORM or
                               TAXI_IO_CONFIG in composer.env name
    .env                       settings, from airflow_project/composer.env
    .airflowignore
    taxi-deployed.json         the manifest: files and packages of the deployment

Deployments overwrite, remove and delete only what the manifest lists.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from dotenv import dotenv_values

from airflow_project.composer import Composer, echo, gcloud
from airflow_project.packages import composer_packages
from nyc_taxi import __version__
from nyc_taxi.errors import TaxiError
from nyc_taxi.settings import PROJECT

DAGS = PROJECT / "airflow_project" / "dags"
LIST = "taxi-deployed.json"
SETTINGS_FILES = {
    "TAXI_RULES": "mage_project/rules.yaml",
    "TAXI_TRANSFORM": "mage_project/transformers/derive_trips.py",
    "TAXI_IO_CONFIG": "io_config.yaml",
    "TAXI_BIKESHARE_TABLES": "",
}
"""Settings that name a file, with their default file; empty if that is within the package."""

SYNC = ("storage", "rsync", "--recursive", "--checksums-only")


@dataclass(frozen=True)
class Deployment:
    """The content of taxi-deployed.json."""

    files: list[str]
    packages: list[str]
    version: str = __version__

    def write(self, composer: Composer, folder: str) -> None:
        """Upload the list."""
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / LIST
            path.write_text(json.dumps(asdict(self), indent=2))
            composer.change("storage", "cp", str(path), f"{folder}/{LIST}")


def deploy(composer: Composer, with_packages: bool = True) -> None:
    """Add the packages, upload the files, then delete what earlier deployments left behind.

    Adds new packages before the code that imports them, and removes packages after the code that no longer
    imports them. Copies changed files only. The manifest of an interrupted deployment lists its files, so
    that the next one or `composer-delete` finds them. Raises TaxiError with gcloud's error, or if a file or
    package that no deployment created would be replaced.
    """
    folder, installed = composer.describe()
    required = composer_packages() if with_packages else {}
    before = previous(folder) or Deployment([], [])
    with tempfile.TemporaryDirectory() as scratch:
        stage = Path(scratch)
        files = collect(stage)
        existing = checksums(folder)
        refuse_foreign_files(folder, stage, set(files) - set(before.files), existing)
        refuse_foreign_packages(required, installed, before.packages)
        added = {
            name: version
            for name, version in required.items()
            # packages of other owners stay: any version suffices, or it is the same
            if name not in installed or (name in before.packages and installed[name] != version)
        }
        ours = sorted(added.keys() | set(before.packages)) if with_packages else before.packages
        Deployment(sorted({*files, *before.files}), ours).write(composer, folder)
        composer.add_packages(added)
        composer.change(*SYNC, "--exclude=^[^/]+$", str(stage), folder)
        composer.change(*SYNC, str(stage), folder)
        obsolete = [name for name in before.files if name not in files]
        delete_files(composer, folder, [name for name in obsolete if name in existing])
        dropped = [name for name in before.packages if name not in required] if with_packages else []
        composer.remove_packages([name for name in dropped if name in installed])
        Deployment(files, [name for name in ours if name not in dropped]).write(composer, folder)
    echo(f"{len(files)} files in {folder}, {len(obsolete)} deleted there; version {__version__}")


def delete(composer: Composer) -> None:
    """Delete the files and remove the packages of earlier deployments; raises TaxiError."""
    folder, installed = composer.describe()
    before = previous(folder)
    if before is None:
        raise TaxiError(f"{folder}/{LIST} does not exist: nothing is deployed.")
    existing = checksums(folder)
    files = [name for name in before.files if name in existing]
    # DAG files first, so that Airflow never parses one without its imports
    delete_files(composer, folder, [name for name in files if "/" not in name])
    delete_files(composer, folder, [name for name in files if "/" in name])
    composer.remove_packages([name for name in before.packages if name in installed])
    delete_files(composer, folder, [LIST])
    echo(f"{len(files)} files deleted from {folder}; the runs' history stays in the environment")


def delete_files(composer: Composer, folder: str, names: list[str]) -> None:
    """Delete files of the bucket; does nothing for an empty list."""
    if names:
        composer.change("storage", "rm", *(f"{folder}/{name}" for name in names))


def refuse_foreign_files(folder: str, stage: Path, names: set[str], existing: dict[str, str]) -> None:
    """Raise TaxiError if a file that no deployment uploaded would get other content."""
    foreign = sorted(
        name for name in names & existing.keys() if existing[name] != checksum((stage / name).read_bytes())
    )
    if foreign:
        raise TaxiError(
            f"{folder} has files of the same names that no deployment created: {', '.join(foreign)}. "
            "Nothing was changed; move or delete them, then deploy again."
        )


def refuse_foreign_packages(required: dict[str, str], installed: dict[str, str], ours: list[str]) -> None:
    """Raise TaxiError if a package that no deployment added would get another version."""
    foreign = [
        f"{name}{installed[name]} (needed here: {name}{version})"
        for name, version in required.items()
        if name in installed and name not in ours and version and installed[name] != version
    ]
    if foreign:
        raise TaxiError(
            f"The environment has packages that no deployment added: {', '.join(foreign)}. "
            "Nothing was changed; remove them, or deploy with --no-packages if they are compatible."
        )


def collect(stage: Path) -> list[str]:
    """Copy all files of a deployment into a folder with the layout of `dags/`; returns their names."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    shutil.copytree(DAGS, stage, ignore=ignore, dirs_exist_ok=True)
    shutil.copy2(DAGS / ".airflowignore", stage)
    shutil.copytree(PROJECT / "nyc_taxi", stage / "nyc_taxi", ignore=ignore)
    for name in settings_files():
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, stage / name)
    shutil.copy2(DAGS.parent / "composer.env", stage / ".env")
    return sorted(str(path.relative_to(stage)) for path in stage.rglob("*") if path.is_file())


def settings_files() -> list[str]:
    """Return the files of settings, relative to the checkout; raises TaxiError for a file outside it."""
    values = dotenv_values(DAGS.parent / "composer.env", interpolate=False)
    files = []
    for setting, default in SETTINGS_FILES.items():
        name = values.get(setting) or default
        path = PurePosixPath(name)
        if name and (path.is_absolute() or ".." in path.parts or not (PROJECT / path).is_file()):
            raise TaxiError(
                f"airflow_project/composer.env: {setting}={name} is not a file of this checkout; name one"
                " relative to it, so that it can be deployed."
            )
        if name:
            files.append(str(path))
    return files


def previous(folder: str) -> Deployment | None:
    """Return the previous deployment, if any."""
    try:
        listed = json.loads(gcloud("storage", "cat", f"{folder}/{LIST}"))
    except TaxiError as error:
        if "matched no objects" in str(error):
            return None
        raise
    # manifests of earlier versions list no packages: they added those required now
    return Deployment(listed["files"], listed.get("packages", list(composer_packages())), listed["version"])


def checksums(folder: str) -> dict[str, str]:
    """Return the base64 MD5s of the files in the bucket's folder, by name; "" if the bucket has none."""
    listed = gcloud("storage", "objects", "list", f"{folder}/**", "--format=json(name,md5_hash)")
    prefix = folder.removeprefix("gs://").partition("/")[2] + "/"
    return {
        item["name"].removeprefix(prefix): item.get("md5_hash", "") for item in json.loads(listed or "[]")
    }


def checksum(data: bytes) -> str:
    """Return the MD5 in base64, as buckets report it."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="make composer-deploy", description="DAGs onto Cloud Composer.")
    parser.add_argument("--environment", default="")
    parser.add_argument("--location", default="")
    parser.add_argument("--project", default="", help="default: gcloud's project")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done")
    parser.add_argument("--no-packages", action="store_true", help="do not change the environment's packages")
    parser.add_argument("--delete", action="store_true", help="delete what was deployed")
    options = parser.parse_args(arguments)
    if not (options.environment and options.location):
        goal = f"composer-{'delete' if options.delete else 'deploy'}"
        echo(f"Which environment? Name it: make {goal} ENVIRONMENT=taxi-dev LOCATION=us-central1")
        return 2
    composer = Composer(options.environment, options.location, options.project, options.dry_run)
    try:
        delete(composer) if options.delete else deploy(composer, with_packages=not options.no_packages)
    except TaxiError as error:
        echo(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
