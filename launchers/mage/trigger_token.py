"""The token of the trigger `new file`, as the environment has it: `python -m launchers.mage.trigger_token`.

Mage makes up a token for each API trigger and knows no other place for one than triggers.yaml, which
everybody may read. So it is put where Mage keeps its own: into Mage's database.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from launchers.mage.environment import MAGE_PROJECT, mage_environment

TRIGGER = ("taxi_trips", "new file")
PATIENCE = 30.0
"""Seconds within which Mage, once started, has read triggers.yaml."""

_NUMBER = text("SELECT id FROM pipeline_schedule WHERE pipeline_uuid = :pipeline AND name = :name")
_SET = text("UPDATE pipeline_schedule SET token = :token WHERE id = :id AND token <> :token")


def set_token(environment: dict[str, str], project: Path = MAGE_PROJECT) -> int | None:
    """Give the trigger the token TAXI_TRIGGER_TOKEN; its number, or None, with a word on stderr."""
    token = environment.get("TAXI_TRIGGER_TOKEN")
    if not token:
        return None
    database = environment.get("MAGE_DATABASE_CONNECTION_URL")
    file = Path(environment["MAGE_DATA_DIR"]) / project.name / "mage-ai.db"
    engine = create_engine(database or f"sqlite:///{file}")
    deadline = time.monotonic() + PATIENCE
    names = dict(zip(("pipeline", "name"), TRIGGER, strict=True))
    why = "it does not know the trigger"
    try:
        while time.monotonic() < deadline:
            try:
                with engine.begin() as connection:
                    number = connection.execute(_NUMBER, names).scalar()
                    if number is not None:
                        connection.execute(_SET, {"token": token, "id": number})
                        return int(number)
            except DBAPIError as error:  # Mage is making its tables, or writing
                why = str(error.orig)
            time.sleep(0.5)
    finally:
        engine.dispose()
    sys.stderr.write(f"{TRIGGER[1]}: Mage's database was asked for {PATIENCE:.0f} s: {why}\n")
    return None


def main() -> int:
    """The command; its exit code."""
    number = set_token(mage_environment())
    if number is None:
        sys.stderr.write("Nothing was done: set TAXI_TRIGGER_TOKEN and start Mage first.\n")
        return 1
    sys.stdout.write(f"POST /api/pipeline_schedules/{number}/api_trigger takes TAXI_TRIGGER_TOKEN now.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
