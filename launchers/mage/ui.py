"""Mage's pages for this machine alone, behind a login: `python -m launchers.mage.ui` (`make ui`)."""

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

from launchers.env_file import complete, login
from launchers.instance_lock import STARTER_FD, instance_lock
from launchers.mage.environment import MAGE_PROJECT, ensure_postgres, log_file, mage_environment
from launchers.mage.health import works
from launchers.mage.trigger_token import set_token
from launchers.subprocess_group import START, Stopped, reason, subprocess_group
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


def port_of(text: str) -> int:
    """The port that was asked for; raises SettingsError when it is none."""
    # 0, any port that is free, is none to us: only Mage would know which one it got
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise SettingsError(f"port {text!r} is no port: choose one from 1 to 65535: make ui PORT=6789.")
    return int(text)


def require_free(port: int) -> None:
    """Raise SettingsError when something listens on the port: Mage would take the next one without a word."""
    other = port + 1 if 1024 <= port < 65535 else 6789
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise SettingsError(
                f"port {port} needs rights that you do not have: choose another: make ui PORT={other}."
            ) from None
        except OSError:
            raise SettingsError(f"port {port} is in use: choose another: make ui PORT={other}.") from None


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until Mage answers and its scheduler runs; False when it ended or took too long."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if works(port):
            return True
        time.sleep(0.5)
    return False


def serve(project: Path, port: int, postgres: dict[str, str], log: Path, console: Console) -> int:
    """Start Mage, say where it is, and stay until it ends; the exit code."""
    watched, held = os.pipe()
    environment = {
        **mage_environment(),
        **postgres,  # for Mage's own blocks, which know nothing of an embedded server
        # Mage names the folder of its database after this; set later, it would be after the working directory
        "MAGE_REPO_PATH": str(project),
        "REQUIRE_USER_AUTHENTICATION": "1",
        "DISABLE_TERMINAL": "1",
        STARTER_FD: str(watched),
    }
    command = [*START, str(project), "--host", "127.0.0.1", "--port", str(port)]
    # blocks import mage_project from the folder that the project lies in
    with (
        os.fdopen(held, "wb"),  # closed when this process ends, however it does
        subprocess_group(command, log, environment, cwd=project.parent, pass_fds=[watched]) as process,
    ):
        os.close(watched)
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
    parser.add_argument("--port", default="6789")
    parser.add_argument("--project", type=Path, default=MAGE_PROJECT, help="another copy of mage_project")
    asked = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    try:
        port = port_of(asked.port)
        environment = mage_environment()
        log = log_file(environment, "ui")
        # before the port: one that is in use is mostly that of the other Mage, and another would not do
        with instance_lock(Path(environment["MAGE_DATA_DIR"]).resolve(), port):
            require_free(port)
            ensure_login()
            postgres = ensure_postgres(console.print)
            return serve(asked.project.resolve(), port, postgres, log, console)
    except TaxiError as error:
        console.print(f"[red]{escape(str(error))}[/]")
        return 1
    except (Stopped, KeyboardInterrupt):
        console.print("Mage has stopped.")
        return 0


if __name__ == "__main__":
    sys.exit(main())
