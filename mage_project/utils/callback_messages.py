"""The lines that callbacks log about a block, in a form that is easy to search for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mage_project.utils.variables import log_context


def log_line(event: str, outputs: Sequence[Any], variables: Mapping[str, Any]) -> str:
    """For example `taxi_trips: a block failed: REASON [service=green month=2020-04 run=7]`.

    `outputs` is what Mage passes to a callback: the block's outputs if there are any. The name of the block
    is not passed; Mage adds it to the line's tags.
    """
    carried = (getattr(part, "attrs", {}).get("reference") for part in _flatten(outputs))
    # an exporter's reference contains that of the files
    references = (reference.get("files", reference) for reference in carried if reference)
    reference = next((each for each in references if "month" in each), None)
    error = variables.get("__error")
    reason = f": {error}" if error else ""
    context = " ".join(f"{key}={value}" for key, value in log_context(variables, reference).items())
    return f"{variables.get('pipeline_uuid')}: a block {event}{reason} [{context}]"


def _flatten(parts: Sequence[Any]) -> Iterator[Any]:
    for part in parts:
        yield from part if isinstance(part, list | tuple) else [part]
