"""Set the token of the trigger `new file` to TAXI_TRIGGER_TOKEN: `python -m launchers.mage.trigger_token`.

Mage generates a token for each API trigger, or reads it from triggers.yaml, which is in version control. To
keep the token out of that file, this writes it to Mage's database.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from launchers.mage.environment import mage_environment
from launchers.mage.limits import MAGE_PROJECT

TRIGGER = ("taxi_trips", "new file")
TIMEOUT = 30.0
"""Seconds to wait until a started Mage has read triggers.yaml."""

_NUMBER = text("SELECT id FROM pipeline_schedule WHERE pipeline_uuid = :pipeline AND name = :name")
_SET = text("UPDATE pipeline_schedule SET token = :token WHERE id = :id AND token <> :token")


def set_token(environment: dict[str, str], project: Path = MAGE_PROJECT) -> int | None:
    """Set the trigger's token; returns the trigger's id, or None if there is no token or no trigger."""
    token = environment.get("TAXI_TRIGGER_TOKEN")
    if not token:
        return None
    database = environment.get("MAGE_DATABASE_CONNECTION_URL")
    file = Path(environment["MAGE_DATA_DIR"]) / project.name / "mage-ai.db"
    engine = create_engine(database or f"sqlite:///{file}")
    deadline = time.monotonic() + TIMEOUT
    names = dict(zip(("pipeline", "name"), TRIGGER, strict=True))
    reason = "the trigger does not exist"
    try:
        while time.monotonic() < deadline:
            try:
                with engine.begin() as connection:
                    number = connection.execute(_NUMBER, names).scalar()
                    if number is not None:
                        connection.execute(_SET, {"token": token, "id": number})
                        return int(number)
            except DBAPIError as error:  # Mage is creating its tables, or holds a lock
                reason = str(error.orig)
            time.sleep(0.5)
    finally:
        engine.dispose()
    sys.stderr.write(
        f"The token of {TRIGGER[1]!r} could not be set in Mage's database within {TIMEOUT:.0f} s: {reason}\n"
    )
    return None


def main() -> int:
    """Run the command; returns its exit code."""
    number = set_token(mage_environment())
    if number is None:
        sys.stderr.write("No token was set: set TAXI_TRIGGER_TOKEN and start Mage first.\n")
        return 1
    sys.stdout.write(f"POST /api/pipeline_schedules/{number}/api_trigger now accepts TAXI_TRIGGER_TOKEN.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
