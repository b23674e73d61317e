"""What callbacks say about a block: one line that a log search finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mage_project.utils.variables import context_of


def log_line(what: str, outputs: Sequence[Any], variables: Mapping[str, Any]) -> str:
    """`taxi_trips: a block failed: why [service=green month=2020-04 run=7]`.

    `outputs` are what Mage gives a callback: the block's outputs where there are any. Which block it
    is, the line's tags say.
    """
    given = [part for part in _flat(outputs) if isinstance(part, Mapping)]
    # exporters hand the files on as a part of their reference
    references = [part.get("files", part) for part in given]
    reference = next((each for each in references if "month" in each), None)
    context = context_of(variables, reference)
    error = variables.get("__error")
    why = f": {error}" if error else ""
    about = " ".join(f"{key}={value}" for key, value in context.items())
    return f"{variables.get('pipeline_uuid')}: a block {what}{why} [{about}]"


def _flat(parts: Sequence[Any]) -> list[Any]:
    return [item for part in parts for item in (part if isinstance(part, list | tuple) else [part])]
