"""New York taxi trips: downloaded, cleaned, kept as Parquet and loaded, one month at a time.

No orchestrator is imported here; `mage_project` and `airflow_project` are faces over this package.
"""

import os
import sys

# Read when Arrow is loaded, also by the processes that this one starts. Its default, mimalloc, keeps more of
# what is freed: at a month's peak 60 MB, and it is no faster.
if sys.platform == "linux":
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")

__version__ = "0.1.0"
