"""The version of a month: a hash of its raw file, the rules, the user's transform and the code's versions."""

from __future__ import annotations

import hashlib

from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import SourceFile
from nyc_taxi.schema import SCHEMA_VERSION, has_coordinates
from nyc_taxi.transform.rules import Rules
from nyc_taxi.transform.user.source import Transform

METHOD_VERSION = 1
"""Incremented when the same file and rules give other rows than before."""


def month_version(source: SourceFile, rules: Rules, transform: Transform | None = None) -> str:
    """Names what a month holds: 12 hex digits of the file, rules, transform and the code's versions.

    Of the months that TLC published with coordinates, the zones' polygons are part, too.
    """
    return version_of(source.service, source.month, source.sha256, rules, transform)


def version_of(
    service: Service, month: Month, sha256: str, rules: Rules, transform: Transform | None = None
) -> str:
    """Return the version of a month whose raw file with this SHA-256 is cleaned and derived today."""
    parts = [service, month, sha256, rules.fingerprint, SCHEMA_VERSION, METHOD_VERSION]
    if has_coordinates(service, month):
        from nyc_taxi.schema import zone_polygons

        parts.append(zone_polygons.fingerprint())
    if transform:
        parts.append(transform.fingerprint)
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:12]
