"""sling, a replication tool written in Go: one command copies the file into the table."""

from __future__ import annotations

import os
import sys
from importlib import resources

from benchmarks.contenders import SCHEMA, TABLE


def main(file: str, url: str) -> None:
    """Load the month; this process becomes sling."""
    program = str(resources.files("sling_linux_amd64") / "bin" / "sling-linux-amd64")
    os.environ |= {"SLING_DISABLE_TELEMETRY": "TRUE", "SERVER": f"{url}?sslmode=disable"}
    stream = ["--src-stream", f"file://{file}", "--tgt-conn", "SERVER"]
    command = [program, "run", *stream, "--tgt-object", f"{SCHEMA}.{TABLE}", "--mode", "full-refresh"]
    os.execv(program, command)


if __name__ == "__main__":
    main(*sys.argv[1:])
