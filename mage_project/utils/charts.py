"""Charts and pages below a block in Mage's editor."""

from __future__ import annotations

import html
from collections.abc import Callable

from IPython import get_ipython
from IPython.display import HTML, Image, display


def show(draw: Callable[[], bytes]) -> bool:
    """Show a PNG below the block; returns False, without drawing, outside the editor."""
    if get_ipython() is None:
        return False
    display(Image(data=draw(), format="png"))
    return True


def show_page(render: Callable[[], str]) -> bool:
    """Show a page of HTML below the block, in a frame of its own; returns False outside the editor."""
    if get_ipython() is None:
        return False
    page = html.escape(render())
    style = "width: 100%; height: 80vh; border: 0"
    display(HTML(f'<iframe title="Report" sandbox style="{style}" srcdoc="{page}"></iframe>'))
    return True
