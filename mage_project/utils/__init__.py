"""Code that blocks share. `trips`, for your own blocks, gives all trips of a month."""

from typing import Any

__all__ = ["trips"]


def __getattr__(name: str) -> Any:
    if name == "trips":  # imported when it is used: every block imports this package
        from mage_project.utils.whole_months import trips

        return trips
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
