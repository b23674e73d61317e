"""Look at a Parquet file before it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nyc_taxi.errors import DestinationError, LocalFileLost

if TYPE_CHECKING:
    import pyarrow.parquet as pq


def footer(path: Path) -> pq.FileMetaData:
    """Rows and columns of a Parquet file; raises DestinationError when it is no whole Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(path)
    except FileNotFoundError:
        raise LocalFileLost(f"{path}: no longer exists; run the month again to recreate it.") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise DestinationError(f"{path}: cannot be read ({error}); run the month again.") from error
