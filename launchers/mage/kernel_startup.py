"""What the editor's kernel runs first (PYTHONSTARTUP): imports Mage's blocks without what they print.

Mage prints that dbt, which this project does not use, is not installed. SQL blocks run in the kernel, too.
"""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    import mage_ai.data_preparation.models.block.block_factory  # noqa: F401

from launchers.mage.sql_blocks import patch_duckdb_blocks

patch_duckdb_blocks()
