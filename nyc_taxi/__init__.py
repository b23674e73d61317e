"""New York taxi trips: load TLC's monthly files into Postgres, GCS, S3, BigQuery and DuckDB, and read them.

    import nyc_taxi

    trips = nyc_taxi.read_trips("green", "2020-04", columns=["pickup_datetime", "total_amount"])

No orchestrator is imported here: `mage_project` and `airflow_project` are thin wrappers around this package.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nyc_taxi.reporting.current_months import months
    from nyc_taxi.reporting.datasets import read_quality, read_quarantine, read_trips

# Read when Arrow is loaded, also by the processes that this one starts. Its default, mimalloc, keeps more of
# what is freed: at a month's peak 60 MB, and it is no faster.
if sys.platform == "linux":
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")

__version__ = "0.1.0"
__all__ = ["__version__", "months", "read_quality", "read_quarantine", "read_trips"]


def __getattr__(name: str) -> Any:
    """Import the reading functions on first use: `import nyc_taxi` alone imports nothing else."""
    if name in __all__:
        module = "current_months" if name == "months" else "datasets"
        return getattr(importlib.import_module(f"nyc_taxi.reporting.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
