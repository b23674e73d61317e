"""A Composer environment from nothing to a month that a new file loads, and back: by Terraform and gcloud.

Terraform makes what it always makes, under the names of the environment `dev`, so the project must not have
a `dev` already. Its state is a file beside the report, so that `terraform destroy` works there if this is
killed.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.settings import PROJECT
from tests.e2e.cloud.steps import StepFailed, Steps

PRICE = (
    "The Composer environment exists for about an hour and costs up to $3 in that time: a small environment"
    " with one worker of 2 cores and 8 GB, billed by the hour (https://cloud.google.com/composer/pricing). It"
    " is deleted in the end."
)
SECONDS = 5400.0
"""Creation takes 25 minutes or more, packages ten, deletion ten."""

IMAGE = "composer-3-airflow-3.3.1-build.0"
ENVIRONMENT = "taxi-dev"
POLL = 30.0
"""Seconds between checks for the loaded month."""


def confirmed() -> bool:
    """Say the price, and ask for a yes."""
    sys.stderr.write(f"{PRICE}\nCreate it? Type yes: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() == "yes"


def take(steps: Steps, project: str, location: str, folder: Path) -> None:
    """All steps, with a limit of their own; what was created is deleted whichever of them failed."""
    steps.extend(SECONDS)
    composer = ComposerSteps(project, location, folder, lambda: steps.left)
    if not steps.take("Composer: the project has no taxi-dev yet", composer.check_absent):
        return
    try:
        if steps.take("Composer: terraform apply on a new project", composer.apply):
            steps.take("Composer: a second plan changes nothing", composer.plan_again)
            steps.take("Composer: make composer-deploy", composer.deploy)
            steps.take("Composer: a new file in the inbox is loaded", composer.load)
            steps.take("Composer: make composer-delete", composer.undeploy)
    finally:
        steps.take("Composer: everything is deleted", composer.destroy, always=True)


@dataclass
class ComposerSteps:
    """Commands as docs/composer.md gives them."""

    project: str
    location: str
    folder: Path
    """For a copy of terraform/, with its state."""
    left: Callable[[], float]
    """Seconds until the limit."""

    @property
    def bucket(self) -> str:
        """The bucket that Terraform makes."""
        return f"gs://{self.project}-taxi-dev"

    def check_absent(self) -> str:
        try:
            self.run("gcloud", "storage", "buckets", "describe", self.bucket)
        except StepFailed as error:
            if "not found" in str(error):
                return f"{self.bucket} does not exist"
            raise
        raise StepFailed(f"{self.bucket} exists; name a project without an environment `dev`")

    def apply(self) -> str:
        copy_terraform(self.folder)
        self.terraform("init", "-input=false")
        self.terraform("plan", "-input=false", *self.variables())
        self.terraform("apply", "-input=false", "-auto-approve", *self.variables())
        return "applied"

    def plan_again(self) -> str:
        """Terraform's exit code is 2 if there is a change."""
        self.terraform("plan", "-input=false", "-detailed-exitcode", *self.variables())
        return "no changes"

    def deploy(self) -> str:
        self.run("make", "composer-deploy", *self.target())
        return "deployed"

    def load(self) -> str:
        """Unpause the DAG, upload a generated month, and wait for its manifest."""
        airflow = ("gcloud", "composer", "environments", "run", ENVIRONMENT, f"--location={self.location}")
        self.run(*airflow, f"--project={self.project}", "dags", "unpause", "--", "taxi_ingest")
        month = self.folder / "green_tripdata_2021-03.parquet"
        taxi = (sys.executable, "-c", "from nyc_taxi.cli import main; main()")
        self.run(*taxi, "sample", "green", "2021-03", str(month), "--rows", "2000")
        started = time.monotonic()
        self.run("gcloud", "storage", "cp", str(month), f"{self.bucket}/inbox/{month.name}")
        manifest = f"{self.bucket}/manifests/service=green/month=2021-03/manifest.json"
        while True:
            with contextlib.suppress(StepFailed):
                entry = json.loads(self.run("gcloud", "storage", "cat", manifest))
                return f"{entry['rows_loaded']:,} trips after {time.monotonic() - started:.0f} s"
            if self.left() <= 1800:  # the rest is for the deletion
                raise StepFailed(f"{manifest} has not appeared")
            time.sleep(POLL)

    def undeploy(self) -> str:
        self.run("make", "composer-delete", *self.target())
        return "deleted"

    def destroy(self) -> str:
        """What Terraform does not delete while it holds data, and Composer's own bucket, then the rest."""
        describe = ("gcloud", "composer", "environments", "describe", ENVIRONMENT, "--format=json")
        own = ""
        with contextlib.suppress(StepFailed, ValueError, KeyError):
            answer = self.run(*describe, f"--location={self.location}", f"--project={self.project}")
            own = json.loads(answer)["config"]["dagGcsPrefix"].removesuffix("/dags")
        with contextlib.suppress(StepFailed):
            self.run("gcloud", "storage", "rm", "--recursive", "--all-versions", f"{self.bucket}/**")
        for dataset in ("taxi_dev", "taxi_dev_bikeshare"):
            with contextlib.suppress(StepFailed):
                self.run("bq", "rm", "-r", "-f", "--dataset", f"{self.project}:{dataset}")
        self.terraform("destroy", "-input=false", "-auto-approve", *self.variables())
        if own:
            self.run("gcloud", "storage", "rm", "--recursive", own)
        return f"{self.bucket}, the datasets, the environment and {own or 'no bucket of its own'}"

    def variables(self) -> list[str]:
        """The root module's."""
        values = {
            "project": self.project,
            "environment": "dev",
            "location": self.location,
            "composer_image": IMAGE,
            "bikeshare": "false",
            "web_server_readers": '[{value="0.0.0.0/0",description="all; IAM decides"}]',
        }
        return [f"-var={name}={value}" for name, value in values.items()]

    def target(self) -> list[str]:
        """Variables of make."""
        return [f"ENVIRONMENT={ENVIRONMENT}", f"LOCATION={self.location}", f"GCP_PROJECT={self.project}"]

    def terraform(self, command: str, *arguments: str) -> None:
        """A command in the copy."""
        self.run("terraform", f"-chdir={self.folder / 'terraform'}", command, *arguments)

    def run(self, *command: str) -> str:
        """What a command prints; raises StepFailed with its last words."""
        sys.stderr.write(f"running: {shlex.join(command)}\n")
        done = subprocess.run(
            command, cwd=PROJECT, capture_output=True, text=True, timeout=max(600.0, self.left())
        )
        if done.returncode:
            raise StepFailed(f"{shlex.join(command[:4])}: {done.stderr.strip()[-500:]}")
        return done.stdout


def copy_terraform(folder: Path) -> None:
    """Copy terraform/ and the function's source; the state is a file there, not an object of a bucket."""
    for name in ("terraform", "airflow_project/cloud_function"):
        ignore = shutil.ignore_patterns(".terraform", "*.tfstate*", "__pycache__")
        shutil.copytree(PROJECT / name, folder / name, ignore=ignore, dirs_exist_ok=True)
    (folder / "terraform" / "state_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
