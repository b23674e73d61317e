"""Google's client: every file of the month into the bucket, one after the other (FILE is their folder)."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from google.cloud import storage


def main(folder: str, prefix: str) -> None:
    """Upload, and print the seconds of the upload alone; STORAGE_EMULATOR_HOST leads to the server."""
    started = time.perf_counter()
    bucket = storage.Client.create_anonymous_client().bucket("taxi")
    for path in sorted(Path(folder).iterdir()):
        bucket.blob(f"{prefix}/{path.name}").upload_from_filename(path)
    print(f"load {time.perf_counter() - started:.6f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
