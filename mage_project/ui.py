"""Mage's pages for this machine alone, behind a login: `python -m mage_project.ui` (`make ui`)."""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import dotenv
import httpx
from rich.console import Console
from rich.markup import escape

from mage_project.child import MAGE, Stopped, child, reason
from mage_project.environment import MAGE_PROJECT, ensure_postgres, mage_environment
from nyc_taxi.errors import SettingsError, TaxiError
from nyc_taxi.settings import PROJECT, settings

ENV_FILE = PROJECT / ".env"
START_SECONDS = 180
"""Mage's first start on a slow machine makes its database and takes a minute."""


def ensure_login() -> None:
    """Give Mage a user, a random password and a key of its own, kept in `.env`; what is there already stays.

    Without them Mage starts with a password and a signing key that everybody knows.
    """
    settings()  # reads .env into os.environ
    wanted = {
        "DEFAULT_OWNER_EMAIL": "taxi@localhost.localdomain",
        "DEFAULT_OWNER_USERNAME": "taxi",
        "DEFAULT_OWNER_PASSWORD": secrets.token_urlsafe(15),
        "JWT_SECRET": secrets.token_urlsafe(32),
    }
    missing = {name: value for name, value in wanted.items() if not os.environ.get(name)}
    try:
        for name, value in missing.items():
            ENV_FILE.touch(mode=0o600)
            dotenv.set_key(ENV_FILE, name, value, quote_mode="never")
            ENV_FILE.chmod(0o600)
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
        with suppress(httpx.TransportError, ValueError, LookupError):
            status = httpx.get(f"http://127.0.0.1:{port}/api/status", trust_env=False).json()
            # the pages answer before, and even without, the scheduler
            if status["statuses"][0]["scheduler_status"] == "running":
                return True
        time.sleep(0.5)
    return False


def serve(port: int, postgres: dict[str, str], console: Console) -> int:
    """Start Mage, say where it is, and stay until it ends; the exit code."""
    environment = {
        **mage_environment(),
        **postgres,  # for Mage's own blocks, which know nothing of an embedded server
        "REQUIRE_USER_AUTHENTICATION": "1",
        "DISABLE_TERMINAL": "1",
    }
    command = [*MAGE, "start", str(MAGE_PROJECT), "--host", "127.0.0.1", "--port", str(port)]
    log = Path(environment["MAGE_DATA_DIR"]) / "logs" / "ui.log"
    with child(command, log, environment) as process:
        with console.status("Starting Mage"):
            ready = wait_until_ready(port, process)
        if not ready:
            console.print(f"Mage did not start: {reason(log) or 'it gave no reason.'}\nFull log: {log}")
            return 1
        console.print(
            f"Mage:     http://127.0.0.1:{port}\n"
            f"User:     {os.environ['DEFAULT_OWNER_EMAIL']}\n"
            f"Password: DEFAULT_OWNER_PASSWORD in {ENV_FILE}\n"
            f"Log:      {log}\n"
            "Ctrl-C stops it."
        )
        return process.wait()


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="make ui", description="Mage's pages on this machine.")
    parser.add_argument("--port", type=int, default=6789)
    port = parser.parse_args().port
    console = Console(highlight=False, soft_wrap=True)
    try:
        require_free(port)
        ensure_login()
        postgres = ensure_postgres(console.print)
        return serve(port, postgres, console)
    except TaxiError as error:
        console.print(f"[red]{escape(str(error))}[/]")
        return 1
    except Stopped:
        console.print("Mage has stopped.")
        return 0


if __name__ == "__main__":
    sys.exit(main())
