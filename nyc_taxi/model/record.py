"""The one way in which values turn into plain JSON values and back."""

from __future__ import annotations

from typing import Any, Self

import pydantic

CONFIG = pydantic.ConfigDict(extra="forbid")
"""An unknown field belongs to another version of the package: it is refused, not ignored."""


class Record:
    """Base of frozen pydantic dataclasses that travel between steps or lie in files and ledgers."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values: str, int, float, bool, None, and lists and dicts of them."""
        plain: dict[str, Any] = _adapter(type(self)).dump_python(self, mode="json")
        return plain

    @classmethod
    def from_dict(cls, plain: object) -> Self:
        """The inverse of `to_dict`; raises pydantic.ValidationError, a ValueError, for anything else."""
        record: Self = _adapter(cls).validate_python(plain)
        return record


_adapters: dict[type, pydantic.TypeAdapter[Any]] = {}


def _adapter(kind: type) -> pydantic.TypeAdapter[Any]:
    """Built once per type: it takes longer than using it."""
    if kind not in _adapters:
        _adapters[kind] = pydantic.TypeAdapter(kind)
    return _adapters[kind]
