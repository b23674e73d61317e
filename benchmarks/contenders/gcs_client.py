"""Google's client: upload the month's files to the bucket in sequence (FILE is their folder)."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from google.cloud import storage


def main(folder: str, prefix: str) -> None:
    """Upload, and print the seconds of uploading alone; STORAGE_EMULATOR_HOST selects the server."""
    started = time.perf_counter()
    bucket = storage.Client.create_anonymous_client().bucket("taxi")
    for path in sorted(Path(folder).iterdir()):
        bucket.blob(f"{prefix}/{path.name}").upload_from_filename(path)
    print(f"load {time.perf_counter() - started:.6f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
