"""Mage's pages for this machine alone, behind a login: `python -m mage_project.ui` (`make ui`)."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from mage_project.child import START, Stopped, child, reason
from mage_project.env_file import complete, login
from mage_project.environment import MAGE_PROJECT, ensure_postgres, mage_environment
from mage_project.health import works
from mage_project.trigger_token import set_token
from nyc_taxi.errors import SettingsError, TaxiError
from nyc_taxi.settings import PROJECT, settings

ENV_FILE = PROJECT / ".env"
START_SECONDS = 180
"""Mage's first start on a slow machine makes its database and takes a minute."""


def ensure_login() -> None:
    """Give Mage a user, a random password and keys of its own, kept in `.env`; what is there stays."""
    settings()  # reads .env into os.environ
    missing = {name: value for name, value in login().items() if not os.environ.get(name)}
    try:
        complete(ENV_FILE, missing)
    except OSError as error:
        raise SettingsError(
            f"{ENV_FILE}: cannot be written ({error.strerror}); set {', '.join(missing)} in the environment."
        ) from error
    os.environ.update(missing)


def require_free(port: int) -> None:
    """Raise SettingsError when something listens on the port: Mage would take the next one without a word."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SettingsError(f"port {port} is in use: choose another: make ui PORT={port + 1}.") from None


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until Mage answers and its scheduler runs; False when it ended or took too long."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if works(port):
            return True
        time.sleep(0.5)
    return False


def serve(project: Path, port: int, postgres: dict[str, str], console: Console) -> int:
    """Start Mage, say where it is, and stay until it ends; the exit code."""
    environment = {
        **mage_environment(),
        **postgres,  # for Mage's own blocks, which know nothing of an embedded server
        # Mage names the folder of its database after this; set later, it would be after the working directory
        "MAGE_REPO_PATH": str(project),
        "REQUIRE_USER_AUTHENTICATION": "1",
        "DISABLE_TERMINAL": "1",
    }
    command = [*START, str(project), "--host", "127.0.0.1", "--port", str(port)]
    log = Path(environment["MAGE_DATA_DIR"]) / "logs" / "ui.log"
    # blocks import mage_project from the folder that the project lies in
    with child(command, log, environment, cwd=project.parent) as process:
        with console.status("Starting Mage"):
            ready = wait_until_ready(port, process)
        if not ready:
            console.print(f"Mage did not start: {reason(log) or 'it gave no reason.'}\nFull log: {log}")
            return 1
        number = set_token(environment, project)
        console.print(
            f"Mage:     http://127.0.0.1:{port}\n"
            f"User:     {os.environ['DEFAULT_OWNER_EMAIL']}\n"
            f"Password: DEFAULT_OWNER_PASSWORD in {ENV_FILE}\n"
            f"New file: POST /api/pipeline_schedules/{number or '?'}/api_trigger, bearer TAXI_TRIGGER_TOKEN\n"
            f"Log:      {log}\n"
            "Ctrl-C stops it."
        )
        return process.wait()


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="make ui", description="Mage's pages on this machine.")
    parser.add_argument("--port", type=int, default=6789)
    parser.add_argument("--project", type=Path, default=MAGE_PROJECT, help="another copy of mage_project")
    asked = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    try:
        require_free(asked.port)
        ensure_login()
        postgres = ensure_postgres(console.print)
        return serve(asked.project.resolve(), asked.port, postgres, console)
    except TaxiError as error:
        console.print(f"[red]{escape(str(error))}[/]")
        return 1
    except Stopped:
        console.print("Mage has stopped.")
        return 0


if __name__ == "__main__":
    sys.exit(main())
