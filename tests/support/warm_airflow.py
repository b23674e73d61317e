"""Run Airflow commands in forks of a process that has imported Airflow, as imports take most of the time.

As a program (`python -m tests.support.warm_airflow`) it reads requests from standard input, one JSON line
each: a command's arguments and environment, and its output file. It responds with the exit code.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

MODULES = (
    "airflow.cli.commands.dag_command",
    "airflow.dag_processing.collection",
    "airflow.api_fastapi.execution_api.app",
    "airflow.sdk.execution_time.supervisor",
    "airflow.providers.google.cloud.operators.cloud_sql",
    "airflow.providers.google.cloud.operators.cloud_storage_transfer_service",
)
"""Imports of commands and tasks, some for Airflow 3 only; nothing of the DAGs or of `nyc_taxi`."""


class Warm:
    """The process, which runs commands in sequence; end it with `close`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm_airflow"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> int:
        """Run `airflow ...` with its output in `log`; returns its exit code."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([arguments, dict(environment), str(log)]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def serve() -> None:
    """Serve requests until standard input ends."""
    requests, answers = sys.stdin, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keep output of imports out of the responses
    for name in MODULES:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    with contextlib.suppress(ModuleNotFoundError):
        from airflow.sdk.execution_time.supervisor import in_process_api_server

        _ = in_process_api_server().app  # cached by Airflow; creating it takes longer than all imports
    for line in requests:
        child = os.fork()
        if not child:
            os._exit(command(*json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


def command(arguments: list[str], environment: dict[str, str], log: str) -> int:
    """Run the command in this process."""
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    lead_to(os.environ.get("TEST_GOOGLE_APIS"))
    from airflow.__main__ import main

    sys.argv = ["airflow", *arguments]
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def lead_to(url: str | None) -> None:
    """Point the Google provider's hooks to this URL; they have no setting for it."""
    if not url:
        return
    from airflow.providers.google.common.hooks.base_google import GoogleBaseHook
    from google.api_core.client_options import ClientOptions

    GoogleBaseHook.get_client_options = lambda self, *_: ClientOptions(url)


if __name__ == "__main__":
    serve()
