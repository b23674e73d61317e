"""A running Mage: `make ui` on a copy of the project, and the API that its pages use."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from nyc_taxi.settings import PROJECT

LOGIN = {
    "DEFAULT_OWNER_EMAIL": "taxi@localhost.localdomain",
    "DEFAULT_OWNER_USERNAME": "taxi",
    "DEFAULT_OWNER_PASSWORD": "a-password-of-the-tests",
    "JWT_SECRET": "a-key-of-the-tests-that-is-long-enough",
    "TAXI_TRIGGER_TOKEN": "a-token-of-the-tests",
}
PAGES_KEY = "zkWlN0PkIKSN0C11CfUHUj84OT5XOJ6tDZ6bDRO2"
"""The API key of Mage's pages, which is public."""


def copy_project(folder: Path) -> Path:
    """Copy mage_project, for editing, with io_config.yaml beside it."""
    project = folder / "mage_project"
    unwanted = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(PROJECT / "mage_project", project, ignore=unwanted)
    return project


def environment_of(project: Path, place: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a Mage on the copy; `place` locates workspace, data and Postgres."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("TAXI_", "POSTGRES_"))}
    return {
        **own,
        **place,
        **LOGIN,
        "MAGE_REPO_PATH": str(project),
        "MAGE_DATA_DIR": str(project.parent / "mage_data"),  # separate from other Mages' users
        "TAXI_RULES": str(project / "rules.yaml"),
        "TAXI_TRANSFORM": str(project / "transformers" / "derive_trips.py"),
        "SCHEDULER_TRIGGER_INTERVAL": "2",  # seconds between two passes of the scheduler
        "NO_PROXY": "127.0.0.1,localhost",
    }


class Mage:
    """A running Mage and its API, logged in as its owner or another user."""

    def __init__(
        self,
        process: subprocess.Popen[str],
        url: str,
        email: str = LOGIN["DEFAULT_OWNER_EMAIL"],
        password: str = LOGIN["DEFAULT_OWNER_PASSWORD"],
    ) -> None:
        self.process = process
        self.url = url
        self._client = httpx.Client(base_url=f"{self.url}/api", trust_env=False, timeout=60)
        self._client.headers["X-API-KEY"] = PAGES_KEY
        session = self.call("POST", "/sessions", session={"email": email, "password": password})
        token = session["session"]["token"]
        self._client.headers["Cookie"] = f"oauth_token={token}"

    def call(self, method: str, path: str, **body: Any) -> Any:
        """Send a request; raises Mage's errors, which have status 200."""
        return _checked(self._client.request(method, path, json=body or None))

    def runs(self, pipeline: str = "taxi_trips") -> list[dict[str, Any]]:
        """Return a pipeline's runs, oldest first."""
        runs = self.call("GET", f"/pipeline_runs?pipeline_uuid={pipeline}&_limit=100")["pipeline_runs"]
        return sorted(runs, key=lambda run: run["id"])

    def triggers(self, pipeline: str = "taxi_trips") -> dict[str, dict[str, Any]]:
        """Return a pipeline's triggers by name."""
        listed = self.call("GET", f"/pipelines/{pipeline}/pipeline_schedules?_limit=50")
        return {trigger["name"]: trigger for trigger in listed["pipeline_schedules"]}

    def start(self, trigger: Mapping[str, Any], token: str | None = None, **variables: str) -> int:
        """Request a run by API trigger, as a producer of files does; returns its id."""
        url = f"{self.url}/api/pipeline_schedules/{trigger['id']}/api_trigger"
        headers = {"Authorization": f"Bearer {token or LOGIN['TAXI_TRIGGER_TOKEN']}"}
        body = {"pipeline_run": {"variables": variables}}
        answer = httpx.post(url, json=body, headers=headers, trust_env=False, timeout=60)
        return int(_checked(answer)["pipeline_run"]["id"])

    def ended(self, number: int, pipeline: str = "taxi_trips", seconds: float = 120) -> dict[str, Any]:
        """Wait until the run is over and return it."""
        return self.wait(
            lambda: next(
                (
                    run
                    for run in self.runs(pipeline)
                    if run["id"] == number and run["status"] in ("completed", "failed", "cancelled")
                ),
                None,
            ),
            seconds,
        )

    def wait(self, look: Callable[[], Any], seconds: float = 120) -> Any:
        """Call `look` until it returns a true value; fails after `seconds`."""
        deadline = time.monotonic() + seconds
        while not (result := look()):
            assert time.monotonic() < deadline, f"did not happen; runs: {self.runs()}"
            assert self.process.poll() is None, "Mage has ended"
            time.sleep(0.3)
        return result

    def log(self, number: int, pipeline: str = "taxi_trips") -> str:
        """Return all lines of a run's logs, of the pipeline and its blocks."""
        answer = self.call("GET", f"/pipelines/{pipeline}/logs?pipeline_run_id[]={number}&_limit=1000")
        files = [
            file
            for logs in answer["logs"]
            for kind in ("block_run_logs", "pipeline_run_logs")
            for file in logs.get(kind) or []
        ]
        return "\n".join(file["content"] for file in files if file.get("content"))

    def kill(self) -> None:
        """Kill the server, its scheduler and current runs with SIGKILL."""
        family = [
            psutil.Process(self.process.pid),
            *psutil.Process(self.process.pid).children(recursive=True),
        ]
        for member in family:
            member.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, timeout=10)


def _checked(answer: httpx.Response) -> Any:
    content = answer.json()
    assert "error" not in content, content
    return content


@contextmanager
def running(project: Path, environment: Mapping[str, str]) -> Iterator[Mage]:
    """Run `make ui` on the copy until the context ends; leaves no process behind."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "launchers.mage.ui", "--port", str(port), "--project", str(project)]
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        shown = []
        for line in process.stdout:
            shown.append(line)
            if line.startswith("Ctrl-C"):
                break
        assert process.poll() is None, "".join(shown)
        yield Mage(process, f"http://127.0.0.1:{port}")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(60)
        process.stdout.close()
