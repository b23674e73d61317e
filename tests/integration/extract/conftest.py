import pytest

from tests.support.servers import quick, server  # noqa: F401


@pytest.fixture(autouse=True)
def _quick(quick: None) -> None:  # noqa: F811
    """Every test here runs with quick retries."""
