"""One stack for all tests of this folder, which run in the order in which they are written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.docker.stack import Stack, copied

_figures: dict[str, str] = {}


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with copied() as stack:
        stack.figures = _figures
        yield stack


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Sizes and times, for docs/docker.md."""
    if _figures:
        terminalreporter.section("containers")
        for what, figure in _figures.items():
            terminalreporter.write_line(f"{what:<50} {figure}")
