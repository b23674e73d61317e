"""terraform/ as data: its resources and data sources, and what each refers to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hcl2

from nyc_taxi.settings import PROJECT

ROOT = PROJECT / "terraform"
REFERENCE = re.compile(r"(?<![\w.\"/-])((?:data\.)?(?:google|archive)_\w+\.\w+)((?:\[[^\]]*\]|\.\w+)*)")
"""An address, and the path of attributes below it: `google_x.y`, `[0].name`."""


@dataclass(frozen=True)
class Resource:
    """A resource or data source of the root module."""

    kind: str
    """`resource` or `data`."""
    type: str
    name: str
    body: dict[str, Any]

    @property
    def address(self) -> str:
        """As other blocks refer to it."""
        return f"{'data.' if self.kind == 'data' else ''}{self.type}.{self.name}"

    @property
    def provider(self) -> str:
        """The provider's local name."""
        return self.type.partition("_")[0]

    def references(self) -> set[tuple[str, str]]:
        """Addresses that it refers to, each with the path of attributes below it."""
        return {match for text in _strings(self.body) for match in REFERENCE.findall(text)}


def resources(folder: Path = ROOT) -> list[Resource]:
    """All resources and data sources of a module."""
    return [resource for path in sorted(folder.glob("*.tf")) for resource in parse(path.read_text())]


def parse(text: str) -> list[Resource]:
    """The resources and data sources of one file."""
    parsed = hcl2.loads(text)
    return [
        Resource(kind, type_.strip('"'), name.strip('"'), body)
        for kind in ("resource", "data")
        for block in parsed.get(kind, [])
        for type_, named in block.items()
        if not type_.startswith("__")
        for name, body in named.items()
        if not name.startswith("__")
    ]


def services() -> set[str]:
    """The APIs that module.rules enables."""
    rules = (ROOT / "modules" / "rules" / "outputs.tf").read_text()
    return set(re.findall(r'"(\w+)\.googleapis\.com"', rules))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not key.startswith("__"):  # the parser keeps comments there
                yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
