"""The output of Mage's blocks: a data frame that carries a reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mage_project.utils.references import reference_of, with_reference


def parts(output: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the rows and the reference of a block's output."""
    return output, reference_of(output)


def output_with(rows: pd.DataFrame, reference: Mapping[str, Any]) -> pd.DataFrame:
    """Return a copy of the rows that carries the reference."""
    return with_reference(rows.copy(), reference)
