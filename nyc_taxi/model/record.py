"""Conversion of values to plain JSON values and back."""

from __future__ import annotations

from typing import Any, Self

import pydantic

CONFIG = pydantic.ConfigDict(extra="forbid")
"""Rejects unknown fields, which belong to another version of the package."""


class Record:
    """Base of the frozen pydantic dataclasses that steps exchange or that files and ledgers store."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: str, int, float, bool, None, and lists and dicts of them."""
        plain: dict[str, Any] = _adapter(type(self)).dump_python(self, mode="json")
        return plain

    @classmethod
    def from_dict(cls, plain: object) -> Self:
        """Invert `to_dict`; raises pydantic.ValidationError, a ValueError, for any other value."""
        record: Self = _adapter(cls).validate_python(plain)
        return record


_adapters: dict[type, pydantic.TypeAdapter[Any]] = {}


def _adapter(kind: type) -> pydantic.TypeAdapter[Any]:
    """Build the adapter of a type once: building takes longer than using it."""
    if kind not in _adapters:
        _adapters[kind] = pydantic.TypeAdapter(kind)
    return _adapters[kind]
