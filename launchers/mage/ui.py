"""Mage's UI on the loopback interface, with a login: `python -m launchers.mage.ui` (`make ui`)."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from launchers.env_file import complete, login
from launchers.instance_lock import STARTER_FD, instance_lock
from launchers.mage.environment import (
    embedded_addresses,
    ensure_postgres,
    log_file,
    mage_environment,
)
from launchers.mage.health import is_healthy
from launchers.mage.kernels import RUNTIME_DIR
from launchers.mage.limits import MAGE_PROJECT, lost_limits
from launchers.mage.trigger_token import set_token
from launchers.subprocess_group import START, Stopped, reason, subprocess_group
from nyc_taxi.cli.console import SafeConsole
from nyc_taxi.errors import SettingsError, TaxiError
from nyc_taxi.settings import PROJECT, keep_writers_out, load_settings

ENV_FILE = PROJECT / ".env"
START_SECONDS = 180
"""Seconds until Mage must be ready; the first start creates its database, which may take a minute."""

SESSION_SECONDS = str(8 * 3600)
"""Lifetime of a login; Mage's default is 30 days."""


def ensure_login() -> None:
    """Generate Mage's user, password and keys in `.env`; existing ones are kept."""
    load_settings()  # reads .env into os.environ
    missing = {name: value for name, value in login().items() if not os.environ.get(name)}
    try:
        complete(ENV_FILE, missing)
    except OSError as error:
        raise SettingsError(
            f"{ENV_FILE}: cannot be written ({error.strerror}); set {', '.join(missing)} in the environment."
        ) from error
    os.environ.update(missing)


def parse_port(text: str) -> int:
    """Parse a port; raises SettingsError if it is not valid."""
    # with 0, Mage would choose a port unknown to this process
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise SettingsError(
            f"port {text!r} is not valid: choose one from 1 to 65535, for example make ui PORT=6789."
        )
    return int(text)


def require_free(port: int) -> None:
    """Raise SettingsError if the port is in use: Mage would silently take the next one."""
    other = port + 1 if 1024 <= port < 65535 else 6789
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise SettingsError(
                f"port {port} is privileged: choose another, for example make ui PORT={other}."
            ) from None
        except OSError:
            raise SettingsError(
                f"port {port} is in use: choose another, for example make ui PORT={other}."
            ) from None


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until Mage is healthy; returns False if it ends or takes more than START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if is_healthy(port):
            return True
        time.sleep(0.5)
    return False


def serve(project: Path, port: int, addresses: dict[str, str], log: Path, console: Console) -> int:
    """Start Mage, print its address, and wait until it ends; returns the exit code.

    `addresses` are environment variables that connect Mage's own blocks to embedded servers.
    """
    watched, held = os.pipe()
    environment = {
        **mage_environment(),
        **addresses,
        # the folder of Mage's database; by default named after the working directory
        "MAGE_REPO_PATH": str(project),
        "MAGE_PRESENTERS_DIRECTORY": str(project / "presenters"),  # the pages Dashboard
        # the launchers stay here even if the project is a copy elsewhere
        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(PROJECT)])),
        "REQUIRE_USER_AUTHENTICATION": "1",
        "DISABLE_TERMINAL": "1",
        "MAGE_ACCESS_TOKEN_EXPIRY_TIME": SESSION_SECONDS,
        "HIDE_API_TRIGGER_TOKEN": "1",  # hide it from all roles and from triggers.yaml
        STARTER_FD: str(watched),
    }
    command = [*START, str(project), "--host", "127.0.0.1", "--port", str(port)]
    # blocks import mage_project from the project's parent folder
    with (
        tempfile.TemporaryDirectory(prefix="nyc-taxi-kernel-", ignore_cleanup_errors=True) as sockets,
        os.fdopen(held, "wb"),  # closed when this process ends, however it ends
        subprocess_group(
            command, log, {**environment, RUNTIME_DIR: sockets}, cwd=project.parent, pass_fds=[watched]
        ) as process,
    ):
        os.close(watched)
        with console.status("Starting Mage"):
            ready = wait_until_ready(port, process)
        if not ready:
            console.print(
                f"Mage did not start: {reason(log) or 'there is no error message.'}\nFull log: {log}"
            )
            return 1
        number = set_token(environment, project)
        for sentence in lost_limits(project):
            console.print(f"[yellow]{escape(sentence)}[/]")
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
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="make ui", description="Mage's UI on this machine.")
    parser.add_argument("--port", default="6789")
    parser.add_argument("--project", type=Path, default=MAGE_PROJECT, help="another copy of mage_project")
    options = parser.parse_args()
    keep_writers_out()
    project = options.project.resolve()
    console = SafeConsole(highlight=False, soft_wrap=True)
    try:
        port = parse_port(options.port)
        environment = mage_environment()
        log = log_file(environment, "ui", project)
        # before the port, which the Mage that holds the lock usually uses
        with instance_lock(Path(environment["MAGE_DATA_DIR"]).resolve(), port):
            require_free(port)
            ensure_login()
            settings = load_settings()
            addresses = embedded_addresses(settings, console.print) | ensure_postgres(settings, console.print)
            return serve(project, port, addresses, log, console)
    except TaxiError as error:
        console.print(f"[red]{escape(str(error))}[/]")
        return 1
    except (Stopped, KeyboardInterrupt):
        console.print("Mage has stopped.")
        return 0


if __name__ == "__main__":
    sys.exit(main())
