"""A limit: copy as many bytes in memory as the trips have in Postgres's binary format (FILE is not read)."""

from __future__ import annotations

import sys
import time


def main(_file: str, size: str) -> None:
    """Print the seconds."""
    origin, copy = (
        bytearray(b"\1") * int(size),
        bytearray(b"\2") * int(size),
    )  # written, so that the pages are allocated
    started = time.perf_counter()
    memoryview(copy)[:] = origin
    print(f"copy {time.perf_counter() - started:.6f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
