"""The GCS emulator as a standalone service, for clients on other machines or in other containers.

    python -m nyc_taxi.local.gcs_server FOLDER PORT BUCKET

The process listens on all addresses, reaches no files outside FOLDER (nyc_taxi.local.confined), and is
replaced by fake-gcs-server. URLs in responses contain the host name of the request, so clients may use
different names. (`nyc_taxi.local.gcs` starts the embedded emulator, which listens on this machine only.)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nyc_taxi.local.confined import confine
from nyc_taxi.local.gcs import program


def main(folder: str, port: str, bucket: str) -> None:
    """Create the bucket's folder and exec fake-gcs-server; raises DestinationError if it is missing."""
    (Path(folder) / bucket).mkdir(parents=True, exist_ok=True)
    command = [str(program()), "-scheme", "http", "-host", "0.0.0.0", "-port", port, "-log-level", "warn"]
    command += ["-backend", "filesystem", "-filesystem-root", folder]
    confine(Path(folder), program())
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
