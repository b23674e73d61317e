"""Startup file of the editor's kernel (PYTHONSTARTUP): patches Mage for blocks that are run by hand.

It suppresses Mage's output on import: that dbt, which this project does not use, is not installed.
"""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    import mage_ai.data_preparation.models.block.block_factory  # noqa: F401

    from launchers.mage.canonical import patch_metadata
    from launchers.mage.sql_blocks import patch_duckdb_blocks

patch_metadata()  # the kernel saves that a block was run
patch_duckdb_blocks()
