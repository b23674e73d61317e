"""User transforms: a function on a batch of trips, in a file of the project that users edit.

The function adds columns and drops rows. It runs over all batches of a month after the rules; its code is
part of the month's version. A file whose function only returns its argument is no transform.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def each_batch(function: F) -> F:
    """Mark the function of a file that is applied to each batch of a month's trips."""
    return function
