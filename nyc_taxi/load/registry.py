"""The registry: every destination is named here, once, with all that others need to know of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import chain
from typing import TYPE_CHECKING, Any

from nyc_taxi.errors import SettingsError
from nyc_taxi.extras import is_installed, require_extra

if TYPE_CHECKING:  # DAG files import the registry and must be read quickly
    from nyc_taxi.load.contract import Destination
    from nyc_taxi.settings import Settings


def _embedded_postgres_available() -> bool:
    from nyc_taxi.local import postgres_programs

    return is_installed("postgres") and postgres_programs.available()


def _gcs_emulator_available() -> bool:
    from nyc_taxi.local import gcs

    return is_installed("gcp") and gcs.available()


@dataclass(frozen=True)
class Registration:
    """A destination as the registry knows it; its module is imported when it is opened."""

    name: str
    title: str
    """As people write it."""
    implementation: str
    """`module:Class` of a Destination."""
    extra: str = ""
    """The extra of the package that it needs."""
    loads_after: tuple[str, ...] = ()
    """Destinations that are loaded first where both are asked for."""
    is_automatic: Callable[[Mapping[str, Any]], bool] = lambda _connections: True
    """Whether `auto` includes it, given the values of the profile in io_config.yaml."""


REGISTRY: dict[str, Registration] = {
    registration.name: registration
    for registration in (
        Registration(
            "postgres",
            "Postgres",
            "nyc_taxi.load.postgres.load:Postgres",
            extra="postgres",
            is_automatic=lambda connections: "POSTGRES_HOST" in connections or _embedded_postgres_available(),
        ),
        Registration(
            "gcs",
            "GCS",
            "nyc_taxi.load.object_store.gcs:Gcs",
            extra="gcp",
            is_automatic=lambda connections: "GCS_BUCKET" in connections or _gcs_emulator_available(),
        ),
        Registration(
            "s3",
            "S3",
            "nyc_taxi.load.object_store.s3:S3",
            extra="s3",
            is_automatic=lambda connections: "S3_BUCKET" in connections,
        ),
        Registration(
            "bigquery",
            "BigQuery",
            "nyc_taxi.load.warehouse.bigquery.load:BigQuery",
            extra="gcp",
            loads_after=("gcs",),  # it loads a month from the bucket that holds it
            is_automatic=lambda connections: "BIGQUERY_DATASET" in connections,
        ),
        Registration(
            "duckdb",
            "DuckDB",
            "nyc_taxi.load.warehouse.duckdb.load:DuckDb",
            is_automatic=lambda connections: "BIGQUERY_DATASET" not in connections,
        ),
    )
}
"""By name, in the order in which destinations are listed."""

_EMBEDDED = {"postgres": "POSTGRES_HOST", "gcs": "GCS_BUCKET"}
"""The setting without which an embedded server is used, whose data is in the workspace, in `<name>/`."""


def open_destination(name: str, settings: Settings) -> Destination:
    """The configured destination of that name; raises SettingsError for a bad setting or a missing extra."""
    if name not in REGISTRY:
        raise SettingsError(f"destination {name!r} is not known: use one of {', '.join(REGISTRY)}.")
    registration = REGISTRY[name]
    if registration.extra:
        require_extra(registration.extra, registration.title)
    module, _, attribute = registration.implementation.partition(":")
    destination: type[Destination] = getattr(importlib.import_module(module), attribute)
    return destination.from_settings(settings)


def load_order(names: Iterable[str]) -> list[str]:
    """The names, each after those that must be loaded before it."""
    selected = set(names)
    graph = {name: selected & set(REGISTRY[name].loads_after) for name in REGISTRY if name in selected}
    return list(TopologicalSorter(graph).static_order())


def independent_groups(names: Iterable[str]) -> list[list[str]]:
    """The names in groups that may be loaded in any order; within a group as in `load_order`."""
    groups: list[list[str]] = []
    for name in load_order(names):
        earlier = [group for group in groups if not {*group}.isdisjoint(REGISTRY[name].loads_after)]
        groups = [group for group in groups if group not in earlier]
        groups.append([*chain.from_iterable(earlier), name])
    return groups


def holders(settings: Settings) -> list[str]:
    """Every destination that may hold months: the default ones, and all others that are available.

    Not an embedded server without data: nothing was ever loaded into it.
    """
    return [
        name
        for name in parse_names(f"auto,duckdb,{settings.destinations}", settings)
        if name not in _EMBEDDED
        or _EMBEDDED[name] in settings.connections
        or (settings.workspace / name).exists()
    ]


def parse_names(text: str, settings: Settings) -> list[str]:
    """Read `postgres, gcs` as a list in the registry's order; raises SettingsError for an unknown name.

    `auto` stands for every destination that is available: configured, or embedded.
    """
    names = {name.strip().lower() for name in text.split(",") if name.strip()}
    if "auto" in names:
        names |= {each.name for each in REGISTRY.values() if each.is_automatic(settings.connections)}
    selected = [name for name in REGISTRY if name in names]
    if names - {*REGISTRY, "auto"} or not selected:
        raise SettingsError(
            f"destinations {text!r}: use auto, or one or more of {', '.join(REGISTRY)}, separated by commas."
        )
    return selected
