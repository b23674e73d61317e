"""Generate passwords, keys and ports in `.env`: `make env` (`python3 launchers/env_file.py`).

Existing settings are kept. Requires only Python 3.9 or newer: users of the containers have no environment.
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
    """Generate Mage's owner, session signing key, and the token of the trigger `new file`.

    Mage's defaults for the first two are public.
    """
    return {
        "DEFAULT_OWNER_EMAIL": "taxi@localhost.localdomain",
        "DEFAULT_OWNER_USERNAME": "taxi",
        "DEFAULT_OWNER_PASSWORD": secrets.token_urlsafe(15),
        "JWT_SECRET": secrets.token_urlsafe(32),
        "TAXI_TRIGGER_TOKEN": secrets.token_urlsafe(24),
    }


def containers(present: dict[str, str]) -> dict[str, str]:
    """Generate the settings that docker-compose.yml requires; `present` are the existing ones.

    They connect programs outside the containers to the containers' Postgres and bucket, unless `present`
    names others.
    """
    owner = PROJECT.stat()
    required = {
        "COMPOSE_PROFILES": "local",
        "TAXI_UID": str(owner.st_uid),
        "TAXI_GID": str(owner.st_gid),
        "MAGE_PORT": free_port(6789),
        "AIRFLOW_PORT": free_port(8080),
        "GCS_PORT": free_port(4443),
        "POSTGRES_PORT": free_port(5432),
        "FLOWER_PORT": free_port(5555),
        "POSTGRES_USER": "taxi",
        "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
        "POSTGRES_ADMIN_PASSWORD": secrets.token_urlsafe(24),
        "MYSQL_ROOT_PASSWORD": secrets.token_urlsafe(24),
        "MAGE_DATABASE_PASSWORD": secrets.token_urlsafe(24),
        "AIRFLOW_DATABASE_PASSWORD": secrets.token_urlsafe(24),
        "AIRFLOW_PASSWORD": secrets.token_urlsafe(15),
        "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW_JWT_SECRET": secrets.token_urlsafe(32),
        "AIRFLOW_BROKER_PASSWORD": secrets.token_urlsafe(24),
        "AIRFLOW_SESSION_KEY": secrets.token_urlsafe(32),
        **login(),
    }
    if not present.get("POSTGRES_HOST"):
        required["POSTGRES_HOST"] = "127.0.0.1"
    if not present.get("MYSQL_HOST"):
        required |= {"MYSQL_PORT": free_port(3306), "MYSQL_PASSWORD": secrets.token_urlsafe(24)}
    if not present.get("GCS_BUCKET"):
        port = present.get("GCS_PORT") or required["GCS_PORT"]
        required |= {"GCS_BUCKET": "taxi", "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}
    return required


_SETTING = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(\w+)[ \t]*=[ \t]*(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)"|([^\r\n]*))""",
    re.MULTILINE | re.DOTALL,
)


def read(path: Path) -> dict[str, str]:
    """Return the settings in a file, without resolving variables and escapes; empty if it does not exist."""
    if not path.exists():
        return {}
    return {match[1]: _value(match) for match in _SETTING.finditer(path.read_text("utf-8"))}


def _value(match: re.Match[str]) -> str:
    _, single, double, plain = match.groups()
    if plain is None:
        return double if single is None else single
    return "" if plain.startswith("#") else re.sub(r"\s+#.*", "", plain).rstrip()


def complete(path: Path, required: dict[str, str]) -> list[str]:
    """Add missing or empty settings to the file; returns their names.

    The file becomes private to its owner, and is replaced atomically. Raises OSError.
    """
    present = read(path)
    if path.exists() and path.stat().st_uid == os.geteuid():
        path.chmod(0o600)  # it may be a copy of .env.example
    missing = {name: value for name, value in required.items() if not present.get(name)}
    if not missing:
        return []
    text = path.read_text("utf-8") if path.exists() else ""
    if text and not text.endswith("\n"):
        text += "\n"
    present_names = {match[1] for match in _SETTING.finditer(text)}
    text = _SETTING.sub(
        lambda match: f"{match[1]}={missing[match[1]]}" if match[1] in missing else match[0], text
    )
    text += "".join(f"{name}={value}\n" for name, value in missing.items() if name not in present_names)
    path = path.resolve()  # keep a symbolic link
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        new.touch(0o600)
        new.write_text(text, "utf-8")
        if os.geteuid() == 0:  # as root, which Docker may require, keep the folder's owner
            os.chown(new, path.parent.stat().st_uid, path.parent.stat().st_gid)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return list(missing)


def free_port(first: int) -> str:
    """Return the first free port on this machine, starting from `first`."""
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
    """Run the command; returns its exit code."""
    path = PROJECT / ".env"
    try:
        added = complete(path, containers(read(path)))
        # Postgres's account in the container must read it, whatever the checkout's umask
        (PROJECT / "docker" / "databases.sql").chmod(0o644)
    except OSError as error:
        sys.stderr.write(f"{error.filename or path}: cannot be written ({error.strerror}).\n")
        return 1
    sys.stdout.write(f"{path}: {'added ' + ', '.join(added) if added else 'already complete'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
