import pytest


@pytest.fixture(autouse=True)
def _quick(quick: None) -> None:
    """Every test here runs with quick retries."""
