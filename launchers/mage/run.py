"""Load one month through Mage and show the result: `python -m launchers.mage.run` (`make run`)."""

from __future__ import annotations

import argparse
import signal
import sys

from launchers.subprocess_group import Stopped


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="make run", description="Load one month of trips through Mage.")
    parser.add_argument("--service", default="", help="such as green")
    parser.add_argument(
        "--month", default="", help="for example 2020-04; default: the newest that is published"
    )
    parser.add_argument("--source", default="", help="auto, tlc, csv, sample, a folder, a file or a URL")
    variables = vars(parser.parse_args(arguments))
    try:
        # takes a second or two, during which Ctrl-C must work too
        from launchers.mage.one_month import load
        from nyc_taxi.settings import keep_writers_out

        keep_writers_out()
        return load(variables)
    except Stopped as stopped:
        code = stopped.code
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    sys.stdout.write("Stopped. No month is half loaded; the next run continues.\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
