"""Load one month through Mage and show what came of it: `python -m launchers.mage.run` (`make run`)."""

from __future__ import annotations

import argparse
import signal
import sys

from launchers.subprocess_group import Stopped


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="make run", description="Load one month of trips through Mage.")
    parser.add_argument("--service", default="", help="yellow, green, fhv or fhvhv")
    parser.add_argument("--month", default="", help="such as 2020-04; without it the newest there should be")
    parser.add_argument("--source", default="", help="auto, tlc, csv, sample, a folder, a file or a URL")
    asked = vars(parser.parse_args(arguments))
    try:
        # imported here, for it takes a second or two in which somebody may press Ctrl-C
        from launchers.mage.one_month import load

        return load(asked)
    except Stopped as stopped:
        code = stopped.code
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    sys.stdout.write("Stopped. Nothing is half loaded; the next run carries on.\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
