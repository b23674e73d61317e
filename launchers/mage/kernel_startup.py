"""What the editor's kernel runs first (PYTHONSTARTUP): imports Mage's blocks without what they print.

Mage prints that dbt, which this project does not use, is not installed.
"""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    import mage_ai.data_preparation.models.block.block_factory  # noqa: F401
