"""The taxi zones, which the location ids of trips refer to.

TLC has published two versions of its list, which differ in the last two rows (264 and 265, unknown and
outside the city); `NA` and `N/A` in them are texts, not nulls.
"""

from __future__ import annotations

import hashlib
import logging
from importlib import resources
from pathlib import Path

from nyc_taxi.errors import DestinationError, NotTripData, SchemaError, SourceUnreachable, first_line
from nyc_taxi.extract.fetch import fetch_file
from nyc_taxi.lake.lake import Lake
from nyc_taxi.lake.lookups import LookupFile
from nyc_taxi.load.contract import Destination, Lookup
from nyc_taxi.load.registry import open_destination
from nyc_taxi.pipelines.stored import is_lake, parse_prefix
from nyc_taxi.retry import RetryPolicy
from nyc_taxi.schema import Column, normalise
from nyc_taxi.settings import Settings

log = logging.getLogger(__name__)

ZONES = "zones"

COLUMNS = (
    Column("location_id", "int16", "Number of the zone, as in pickup_location_id and dropoff_location_id."),
    Column("borough", "string", "Borough, or EWR for Newark Airport."),
    Column("zone", "string", "Name of the zone."),
    Column("service_zone", "string", "Yellow Zone, Boro Zone, Airports, EWR, or N/A."),
    Column("source_version", "string", "First 12 hex digits of the list's SHA-256."),
)
_NAMES = {"locationid": "location_id", **{column.name: column.name for column in COLUMNS[:-1]}}


def fetch_zones(settings: Settings, source: str = "") -> LookupFile:
    """Store the list of a URL or file, by default TAXI_ZONES_URL, in the lake; returns its reference.

    The source `lake` selects the last fetched list, `lake:<prefix>` the one whose SHA-256 begins with the
    prefix. Raises NotTripData or SchemaError if the file is not a list of zones, NotInLake, and the errors of
    downloads.
    """
    lake = Lake(settings)
    if is_lake(source):
        return lake.lookups.latest(ZONES, parse_prefix(source))
    source = source or settings.zones_url
    folder = settings.workspace / "source" / "zones"
    try:
        path, fetched = fetch_file(source, folder, RetryPolicy.of(settings))
    except SourceUnreachable as error:
        reason = str(error).partition("; ")[0]  # the rest is advice on months
        raise SourceUnreachable(
            f"{reason}; name a file or another URL as the source, or in TAXI_ZONES_URL."
        ) from error
    read_zones(path, fetched.sha256[:12])
    return lake.lookups.add(ZONES, path, fetched.url)


def stored_zones(file: LookupFile, settings: Settings) -> Lookup:
    """The zones of a list in the lake, fetched to this machine; raises NotInLake."""
    return read_zones(Lake(settings).lookups.fetch(file), file.sha256[:12])


def shipped_zones() -> Lookup:
    """Return the list that ships with the package: TLC's as of November 2026, byte for byte.

    Source: the default of TAXI_ZONES_URL. Its SHA-256 begins with 1a99e1050922.
    """
    with resources.as_file(resources.files(__package__).joinpath("taxi_zone_lookup.csv")) as path:
        return read_zones(path, hashlib.sha256(path.read_bytes()).hexdigest()[:12])


def ensure_zones(destination: Destination) -> None:
    """Load the shipped list into a destination without zones; failures are only logged."""
    try:
        if not destination.has_lookup(ZONES):
            destination.replace_lookup(shipped_zones())
    except DestinationError as error:
        log.warning("The taxi zones were not loaded (`taxi zones` tries again): %s", error)


def read_zones(path: Path, version: str) -> Lookup:
    """Read a list of zones, in either version."""
    import pyarrow as pa  # not where a destination has the zones
    import pyarrow.csv as pacsv

    from nyc_taxi.schema.arrow import arrow_schema

    try:
        table = pacsv.read_csv(
            path,
            convert_options=pacsv.ConvertOptions(
                column_types={
                    name: pa.string() for name in ("LocationID", "Borough", "Zone", "service_zone")
                },
                strings_can_be_null=False,  # NA and N/A are texts
            ),
        )
        table = table.rename_columns([_NAMES.get(normalise(name), name) for name in table.column_names])
        missing = [column.name for column in COLUMNS[:-1] if column.name not in table.column_names]
        if missing:
            raise SchemaError(f"{path.name}: the column {missing[0]} is missing; is this TLC's zone lookup?")
        table = table.append_column("source_version", pa.array([version] * len(table)))
        rows = table.select([column.name for column in COLUMNS]).cast(arrow_schema(COLUMNS))
    except pa.ArrowInvalid as error:
        raise NotTripData(f"{path.name}: cannot be read as a list of zones ({first_line(error)}).") from None
    numbers = rows["location_id"].to_pylist()
    if not numbers or len(set(numbers)) < len(numbers):
        raise NotTripData(f"{path.name}: is empty or names a zone twice; download it again.")
    return Lookup(ZONES, "Taxi zones of New York City.", COLUMNS, "location_id", rows.combine_chunks())


def load_zones(zones: Lookup, destinations: list[str], settings: Settings) -> None:
    """Replace the zones in each destination."""
    for name in destinations:
        open_destination(name, settings).replace_lookup(zones)
