"""Check that Mage's server responds and its scheduler runs: `python -m launchers.mage.health [PORT]`.

Also reports pipelines that have lost their concurrency limits.
"""

from __future__ import annotations

import argparse
import json
import sys
from http.client import HTTPConnection, HTTPException

from launchers.mage.limits import MAGE_PROJECT, lost_limits


def is_healthy(port: int = 6789) -> bool:
    """Return whether the Mage on this local port is healthy."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)  # never through a proxy
    try:
        connection.request("GET", "/api/status")
        status = json.load(connection.getresponse())
        # the server also responds without a running scheduler
        return bool(status["statuses"][0]["scheduler_status"] == "running")
    except (OSError, HTTPException, ValueError, LookupError):
        return False
    finally:
        connection.close()


def main() -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m launchers.mage.health", description="Check the health of Mage."
    )
    parser.add_argument("port", type=int, nargs="?", default=6789)
    port = parser.parse_args().port
    for sentence in lost_limits(MAGE_PROJECT):
        sys.stderr.write(f"{sentence}\n")
    if is_healthy(port):
        return 0
    sys.stderr.write(f"Mage does not answer on port {port}, or its scheduler is not running.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
