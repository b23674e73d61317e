"""A limit: decompress the month with isal and discard it (PLACE is not used)."""

from __future__ import annotations

import sys
import time

from isal import igzip


def main(file: str, _place: str) -> None:
    """Print the seconds."""
    started = time.perf_counter()
    with igzip.open(file, "rb") as unzipped:
        while unzipped.read(1 << 20):
            pass
    print(f"gunzip {time.perf_counter() - started:.6f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
