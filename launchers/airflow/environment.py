"""The environment of every process of a local Airflow: settings, shared keys, the user's password."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

from launchers.private_files import private_file
from nyc_taxi.settings import PROJECT

DAGS = PROJECT / "airflow_project" / "dags"
HOST = "127.0.0.1"
USER = "admin"


def settings_of(home: Path, port: int, database: str, keys: dict[str, str]) -> dict[str, str]:
    """Return the variables of an Airflow with the folder `home`, a database and keys."""
    url = f"http://{HOST}:{port}"
    write_secret(home / "passwords.json", json.dumps({USER: keys["password"]}))
    options = {
        "CORE__DAGS_FOLDER": DAGS,
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 8,
        "CORE__FERNET_KEY": keys["fernet"],
        "CORE__DAGBAG_IMPORT_TIMEOUT": 120,
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": home / "passwords.json",
        "DATABASE__SQL_ALCHEMY_CONN": database.replace("postgresql://", "postgresql+psycopg2://"),
        "API__HOST": HOST,
        "API__PORT": port,
        "API__BASE_URL": url,
        "API__WORKERS": 1,
        "API__SECRET_KEY": keys["session"],
        "API_AUTH__JWT_SECRET": keys["jwt"],
        "DAG_PROCESSOR__REFRESH_INTERVAL": 30,
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.2,  # or each task waits up to a second for its turn
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    return {
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(DAGS),
        # proxy lookups crash forked processes on macOS; the loopback needs no proxy
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), HOST])),
        **{f"AIRFLOW__{name}": str(value) for name, value in options.items()},
    }


def keys_in(path: Path) -> dict[str, str]:
    """Return the keys of this Airflow, generated on first use."""
    if not path.exists():
        keys = {name: secrets.token_hex(32) for name in ("jwt", "session")}
        keys["fernet"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
        keys["password"] = secrets.token_urlsafe(12)
        write_secret(path, json.dumps(keys))
    kept: dict[str, str] = json.loads(path.read_text())
    return kept


def exports(environment: dict[str, str]) -> str:
    """Return the environment as shell exports, for `. .airflow/environment.sh`."""
    path = f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n'
    return path + "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    private_file(path).write_text(text)
