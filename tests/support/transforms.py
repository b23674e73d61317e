"""Files with a transform, as users write them."""

from __future__ import annotations

import textwrap
from pathlib import Path

HEAD = """\
import datetime, random

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from nyc_taxi.transform.user import each_batch


@each_batch
def derive_trips(trips{annotation}):
"""


def write_transform(path: Path, body: str, annotation: str = "") -> Path:
    """Write a file whose function `derive_trips` has this body, starting in line 13."""
    head = HEAD.format(annotation=f": {annotation}" if annotation else "")
    path.write_text(head + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n")
    return path
