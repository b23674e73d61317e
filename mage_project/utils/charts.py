"""Charts below a block in Mage's editor."""

from __future__ import annotations

from collections.abc import Callable

from IPython import get_ipython
from IPython.display import Image, display


def show(draw: Callable[[], bytes]) -> bool:
    """Show a PNG below the block; returns False, without drawing, outside the editor."""
    if get_ipython() is None:
        return False
    display(Image(data=draw(), format="png"))
    return True
