"""User transforms: a function on batches of trips, in a project file that users edit.

The function adds columns and drops rows. It runs over all batches of a month after the rules; its code is
part of the month's version. A function that only returns its argument is not a transform.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def each_batch(function: F) -> F:
    """Mark the function to apply to each batch of a month's trips."""
    return function
