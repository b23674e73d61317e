"""The GCS server as a service of its own, for clients on other machines or in other containers.

    python -m nyc_taxi.local.gcs_server FOLDER PORT BUCKET

It listens on every address and becomes the server itself. In the addresses that it hands out it has the
name by which the client called it, so that it may have several names. (`nyc_taxi.local.gcs` starts the
embedded server for this machine alone.)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nyc_taxi.local.gcs import program


def main(folder: str, port: str, bucket: str) -> None:
    """Make the bucket, which is a folder, and become the server; DestinationError where there is none."""
    (Path(folder) / bucket).mkdir(parents=True, exist_ok=True)
    command = [str(program()), "-scheme", "http", "-host", "0.0.0.0", "-port", port, "-log-level", "warn"]
    command += ["-backend", "filesystem", "-filesystem-root", folder]
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
