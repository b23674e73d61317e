"""Charts and pages below a block in Mage's editor."""

from __future__ import annotations

import html
import sys
from collections.abc import Callable


def show(draw: Callable[[], bytes]) -> bool:
    """Show a PNG below the block; returns False, without drawing, outside the editor."""
    if not _is_editor():
        return False
    from IPython.display import Image, display

    display(Image(data=draw(), format="png"))
    return True


def show_page(render: Callable[[], str]) -> bool:
    """Show a page of HTML below the block, in a frame of its own; returns False outside the editor."""
    if not _is_editor():
        return False
    from IPython.display import HTML, display

    page = html.escape(render())
    style = "width: 100%; height: 80vh; border: 0"
    display(HTML(f'<iframe title="Report" sandbox style="{style}" srcdoc="{page}"></iframe>'))
    return True


def _is_editor() -> bool:
    """Return whether this is the editor's kernel, which has imported IPython; that takes half a second."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
