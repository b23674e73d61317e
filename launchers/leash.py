"""End process groups when their starter is killed: they would go on without anybody to stop them.

A process of its own, `python leash.py`, reads the numbers of process groups from a pipe until the other end
closes, which the operating system does for a killed starter, and ends the groups. It imports the standard
library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator


def start_watcher() -> subprocess.Popen[bytes]:
    """Start the process that ends the groups written to its standard input, once nobody can write there."""
    command = [sys.executable, "-IS", __file__]
    return subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, start_new_session=True)


@contextlib.contextmanager
def leash() -> Iterator[Callable[[int], None]]:
    """Yield a function that puts a process group on the leash; the end of the context lets them go.

    The function raises TaxiError if the watching process has ended.
    """
    watcher = start_watcher()
    assert watcher.stdin
    pipe = watcher.stdin

    def hold(group: int) -> None:
        try:
            pipe.write(b"%d\n" % group)
        except BrokenPipeError as error:
            from nyc_taxi.errors import TaxiError  # which the watcher cannot import

            raise TaxiError(
                "The process that ends Airflow together with its starter was killed: start Airflow again."
            ) from error

    try:
        yield hold
    finally:
        watcher.kill()  # before the pipe closes
        watcher.wait()
        pipe.close()


def main() -> None:
    """End the groups whose numbers are on standard input, once it is closed."""
    for group in [int(line) for line in sys.stdin]:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
