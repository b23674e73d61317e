"""The settings in `.env` that nobody should have to invent: `make env` (`python3 launchers/env_file.py`).

Passwords and keys are random; what the file has already stays. Nothing but Python 3.9 or newer is
needed: who starts with containers has no environment.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import socket
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def login() -> dict[str, str]:
    """Mage's first user, the key that signs its sessions and the token of its trigger for new files.

    Without the first two Mage takes what everybody knows.
    """
    return {
        "DEFAULT_OWNER_EMAIL": "taxi@localhost.localdomain",
        "DEFAULT_OWNER_USERNAME": "taxi",
        "DEFAULT_OWNER_PASSWORD": secrets.token_urlsafe(15),
        "JWT_SECRET": secrets.token_urlsafe(32),
        "TAXI_TRIGGER_TOKEN": secrets.token_urlsafe(24),
    }


def containers(present: dict[str, str]) -> dict[str, str]:
    """What docker-compose.yml asks for; `present` are the settings that there are.

    Programs outside are led to the containers' Postgres and bucket, unless others are named already.
    """
    owner = PROJECT.stat()
    wanted = {
        "COMPOSE_PROFILES": "local",
        "TAXI_UID": str(owner.st_uid),
        "TAXI_GID": str(owner.st_gid),
        "MAGE_PORT": free_port(6789),
        "AIRFLOW_PORT": free_port(8080),
        "GCS_PORT": free_port(4443),
        "POSTGRES_PORT": free_port(5432),
        "POSTGRES_USER": "taxi",
        "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
        "POSTGRES_ADMIN_PASSWORD": secrets.token_urlsafe(24),
        "MAGE_DATABASE_PASSWORD": secrets.token_urlsafe(24),
        "AIRFLOW_DATABASE_PASSWORD": secrets.token_urlsafe(24),
        "AIRFLOW_PASSWORD": secrets.token_urlsafe(15),
        "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW_JWT_SECRET": secrets.token_urlsafe(32),
        "AIRFLOW_SESSION_KEY": secrets.token_urlsafe(32),
        **login(),
    }
    if not present.get("POSTGRES_HOST"):
        wanted["POSTGRES_HOST"] = "127.0.0.1"
    if not present.get("GCS_BUCKET"):
        port = present.get("GCS_PORT") or wanted["GCS_PORT"]
        wanted |= {"GCS_BUCKET": "taxi", "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}
    return wanted


def read(path: Path) -> dict[str, str]:
    """The settings of a file of NAME=value lines; none when it is not there."""
    if not path.exists():
        return {}
    found = re.findall(r"^(?:export +)?(\w+) *=[ \t]*(.*?)[ \t]*$", path.read_text("utf-8"), re.MULTILINE)
    return {name: "" if value.startswith("#") else value.strip("'\"") for name, value in found}


def complete(path: Path, wanted: dict[str, str]) -> list[str]:
    """Add what the file does not have, or has without a value; the names that were added.

    Nobody else may read the file afterwards. It is replaced as a whole or, on an error (OSError), not at all.
    """
    present = read(path)
    missing = {name: value for name, value in wanted.items() if not present.get(name)}
    if not missing:
        return []
    text = path.read_text("utf-8") if path.exists() else ""
    if text and not text.endswith("\n"):
        text += "\n"
    for name, value in missing.items():
        text = _with(text, f"{name}={value}", rf"^{name} *=.*$")
    path = path.resolve()  # a link stays one
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        new.touch(0o600)
        new.write_text(text, "utf-8")
        if os.geteuid() == 0:  # root may have been asked only because Docker asks for it
            os.chown(new, path.parent.stat().st_uid, path.parent.stat().st_gid)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return list(missing)


def _with(text: str, line: str, instead_of: str) -> str:
    """The text with the line, in place of the one that matches or else at its end."""
    changed, replaced = re.subn(instead_of, lambda _: line, text, count=1, flags=re.MULTILINE)
    return changed if replaced else f"{text}{line}\n"


def free_port(first: int) -> str:
    """The first port from there on that nothing on this machine listens on."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return str(port)
    return str(first)


def main() -> int:
    """The command; its exit code."""
    path = PROJECT / ".env"
    try:
        added = complete(path, containers(read(path)))
        # read by the account of Postgres in its container, however strict the umask of the checkout
        (PROJECT / "docker" / "databases.sql").chmod(0o644)
    except OSError as error:
        sys.stderr.write(f"{error.filename or path}: cannot be written ({error.strerror}).\n")
        return 1
    sys.stdout.write(f"{path}: {'added ' + ', '.join(added) if added else 'complete already'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
