"""The machine and versions behind the figures."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.lineup import OURS, THEIRS
from benchmarks.place import Place

PACKAGES = {
    OURS: ("pyarrow", "duckdb", "isal", "psycopg2-binary", "mage-ai", "google-cloud-storage"),
    THEIRS: ("pandas", "sqlalchemy", "dlt", "duckdb", "polars", "adbc-driver-postgresql"),
}


def describe(place: Place) -> dict[str, Any]:
    """Return the machine, the day and the versions of all programs involved."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "load_before": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgres": place.sql("SHOW server_version")[0][0],
        "ours": _versions(OURS),
        "others": _versions(THEIRS) if Path(THEIRS).exists() else {},
    }


def is_busy(machine: dict[str, Any]) -> bool:
    """Return whether other programs were running, which makes figures unreliable."""
    return bool(machine["load_before"] > 0.5 * machine["cores"])


def in_words(machine: dict[str, Any]) -> str:
    """Return a one-line description for users."""
    return (
        f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}, PostgreSQL {machine['postgres']}"
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _versions(python: str) -> dict[str, str]:
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    printed = subprocess.run(
        [python, "-c", code, *PACKAGES[python]], capture_output=True, text=True, check=True
    )
    return dict(zip(PACKAGES[python], printed.stdout.split(), strict=True))
