"""What sources send cannot command a terminal."""

from __future__ import annotations

import io
import re

import httpx
import pytest
from rich.table import Table
from rich.text import Text

from nyc_taxi.cli.console import SafeConsole
from nyc_taxi.errors import SourceError
from nyc_taxi.extract import http

HOSTILE = "a\x1b]0;title\x07b\x9b2J\x7f\u202ec"
SHOWN = "a␛]0;title␇b�2J��c"


@pytest.mark.parametrize("terminal", [False, True])
def test_control_characters_are_shown_as_symbols(terminal: bool) -> None:
    file = io.StringIO()
    console = SafeConsole(
        file=file, force_terminal=terminal, width=80, color_system="standard" if terminal else None
    )
    table = Table("column")
    table.add_row(HOSTILE)
    console.print(HOSTILE, markup=False)
    console.print(f"[red]{HOSTILE}[/]\ttab")
    console.print(table)
    console.print(Text(f"[{HOSTILE}]"), soft_wrap=True)
    text = re.sub(r"\x1b\[[\d;]*m", "", file.getvalue())  # the console's own colours
    assert text.count(SHOWN) == 3
    assert text.count("␛") == 4
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert ("\x1b[31m" in file.getvalue()) is terminal


def test_a_servers_own_phrase_is_not_shown() -> None:
    response = httpx.Response(418, extensions={"reason_phrase": b"\x1b[2J"})
    with pytest.raises(SourceError, match="the server answered 418 I'm a Teapot; check"):
        http.check(response, "http://localhost/x")
    with pytest.raises(SourceError, match="the server answered 499; check"):
        http.check(httpx.Response(499), "http://localhost/x")
