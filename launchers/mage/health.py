"""Whether Mage works: its pages answer and its scheduler runs. `python -m launchers.mage.health [PORT]`."""

from __future__ import annotations

import argparse
import json
import sys
from http.client import HTTPConnection, HTTPException


def works(port: int = 6789) -> bool:
    """Ask the Mage on this machine."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)  # never through a proxy
    try:
        connection.request("GET", "/api/status")
        status = json.load(connection.getresponse())
        # the pages answer before, and even without, the scheduler
        return bool(status["statuses"][0]["scheduler_status"] == "running")
    except (OSError, HTTPException, ValueError, LookupError):
        return False
    finally:
        connection.close()


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m launchers.mage.health", description="Whether Mage works."
    )
    parser.add_argument("port", type=int, nargs="?", default=6789)
    port = parser.parse_args().port
    if works(port):
        return 0
    sys.stderr.write(f"Mage does not answer on port {port}, or its scheduler does not run.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
