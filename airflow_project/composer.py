"""A Composer environment, accessed through the gcloud command."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass

from nyc_taxi.errors import TaxiError


@dataclass(frozen=True)
class Composer:
    """An environment; `dry_run` only prints changes."""

    environment: str
    location: str
    project: str = ""
    dry_run: bool = False

    def arguments(self) -> list[str]:
        """gcloud arguments that name the environment."""
        project = [f"--project={self.project}"] if self.project else []
        return [self.environment, f"--location={self.location}", *project]

    def describe(self) -> tuple[str, dict[str, str]]:
        """Return the environment's `gs://bucket/dags` and the version specifiers of its added packages."""
        command = ("composer", "environments", "describe", *self.arguments(), "--format=json")
        config = json.loads(gcloud(*command))["config"]
        return str(config["dagGcsPrefix"]), config.get("softwareConfig", {}).get("pypiPackages", {})

    def change(self, *arguments: str) -> None:
        """Run a gcloud command that changes the environment; in a dry run only print it."""
        echo(f"{'would run' if self.dry_run else 'running'}: {shlex.join(['gcloud', *arguments])}")
        if not self.dry_run:
            gcloud(*arguments)

    def add_packages(self, packages: dict[str, str]) -> None:
        """Add packages or change their versions, which takes ten minutes or more."""
        if packages:
            flags = [f"--update-pypi-package={name}{version}" for name, version in packages.items()]
            self.change("composer", "environments", "update", *self.arguments(), *flags)

    def remove_packages(self, names: list[str]) -> None:
        """Remove packages, which takes ten minutes or more."""
        if names:
            flag = f"--remove-pypi-packages={','.join(names)}"
            self.change("composer", "environments", "update", *self.arguments(), flag)


def gcloud(*arguments: str) -> str:
    """Run gcloud and return its output; raises TaxiError with the end of its error output."""
    try:
        done = subprocess.run(["gcloud", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        raise TaxiError("gcloud is not on PATH: install the Google Cloud CLI.") from None
    if done.returncode:
        raise TaxiError(f"gcloud {' '.join(arguments[:3])}: {done.stderr.strip()[-1000:]}")
    return done.stdout


def echo(text: str) -> None:
    """Print a message for the user."""
    sys.stderr.write(f"{text}\n")
