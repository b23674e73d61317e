"""Zones from coordinates, compared with exact tests of the polygons."""

import functools
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from nyc_taxi.errors import RuleError
from nyc_taxi.local.samples import write
from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema import has_coordinates, zone_polygons
from nyc_taxi.transform.rule_checks import load_rules
from nyc_taxi.transform.rules import ZONE_FLAG
from nyc_taxi.transform.version import version_of
from nyc_taxi.transform.zone_grid import zone_grid
from tests.support.builders import parquet_month, project_rules, source_file
from tools.zone_polygons import locate, read_zones

NEW_YORK = ((-74.3, -73.65), (40.45, 40.95))


def random_points(count: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.column_stack([rng.uniform(*bounds, count) for bounds in NEW_YORK])


def shipped() -> tuple[np.ndarray, np.ndarray]:
    """The shipped polygons as shapely's, and their zones."""
    shapes, polygons = zone_polygons.polygons(), []
    for rings in shapes.zones.values():
        parts = [shapely.Polygon(shapes.ring(ring)) for ring in rings]
        polygons.append(functools.reduce(shapely.symmetric_difference, parts))  # holes are parts of their own
    return np.array(polygons), np.array(list(shapes.zones))


def test_known_places_are_in_their_zones() -> None:
    places = {
        132: (-73.7822, 40.6446),  # JFK
        138: (-73.8726, 40.7743),  # LaGuardia
        1: (-74.1745, 40.6895),  # Newark
        230: (-73.9855, 40.7580),  # Times Square
        74: (-73.9380, 40.8043),  # 125th Street and Park Avenue
    }
    zones = zone_grid().find(*np.array(list(places.values())).T)
    assert zones.tolist() == list(places)


def test_what_is_no_place_in_the_city_has_no_zone() -> None:
    longitude = np.array([0, np.nan, -73.9855, 40.758, -77.04, -74.05, 1e300, -np.inf])
    latitude = np.array([0, 40.7, np.nan, -73.9855, 38.9, 40.62, 1e300, 40.7])
    assert zone_grid().find(longitude, latitude).tolist() == [0] * 8


def test_the_grid_gives_what_a_test_of_every_polygon_gives() -> None:
    polygons, numbers = shipped()
    corners = np.concatenate(zone_polygons.polygons().arcs)
    beside_borders = corners + np.random.default_rng(7).normal(0, 1e-5, corners.shape)
    points = np.concatenate([random_points(50_000), beside_borders])
    assert (zone_grid().find(*points.T) == locate(polygons, numbers, points)).all()


def test_the_shipped_polygons_are_small_and_neither_overlap_nor_leave_gaps() -> None:
    polygons, numbers = shipped()
    assert len(numbers) == 260
    assert sorted(set(range(1, 264)) - set(numbers.tolist())) == [57, 104, 105]
    assert shapely.coverage_is_valid(polygons)
    assert (Path(zone_polygons.__file__).parent / "taxi_zones.topojson.gz").stat().st_size < 200_000


@pytest.mark.parametrize(
    ("service", "month"), [("yellow", "2009-01"), ("yellow", "2012-05"), ("green", "2016-06")]
)
def test_a_file_with_coordinates_gets_zones_and_a_flag(tmp_path: Path, service: str, month: str) -> None:
    path = tmp_path / "month.csv.gz"
    expected = write(Service(service), Month.parse(month), path, rows=2000)
    files = parquet_month(source_file(path, Service(service), month), tmp_path)
    trips = pq.read_table(files.trips_path).to_pandas()
    for end in ("pickup", "dropoff"):
        zones = zone_grid().find(trips[f"{end}_longitude"].to_numpy(), trips[f"{end}_latitude"].to_numpy())
        assert (trips[f"{end}_location_id"].fillna(0) == zones).all()
    assert expected.zero_coordinates <= trips["pickup_location_id"].isna().sum() < 0.1 * len(trips)
    has_zone = trips["pickup_location_id"].notna() | trips["dropoff_location_id"].notna()
    assert [ZONE_FLAG in flags for flags in trips["flags"]] == has_zone.tolist()
    assert files.flagged[ZONE_FLAG] == has_zone.sum()
    assert files.rows_in == files.trips + files.rows_quarantined


def test_zones_of_the_file_are_kept(tmp_path: Path) -> None:
    """TLC's Parquet files of some months before July 2016 have zones; a file may have both."""
    path = tmp_path / "month.parquet"
    write(Service.YELLOW, Month(2015, 1), path, rows=500)
    assert (
        ZONE_FLAG
        not in parquet_month(source_file(path, Service.YELLOW, "2015-01"), tmp_path / "zones").flagged
    )
    table = pq.read_table(path).drop_columns("DOLocationID")
    for name in ("dropoff_longitude", "dropoff_latitude", "pickup_longitude", "pickup_latitude"):
        value = -73.9855 if name.endswith("longitude") else 40.758
        table = table.append_column(name, [[value] * len(table)])
    pq.write_table(table, path)
    files = parquet_month(source_file(path, Service.YELLOW, "2015-01"), tmp_path / "both")
    trips = pq.read_table(files.trips_path)
    assert set(trips["dropoff_location_id"].to_pylist()) == {230}
    assert len(set(trips["pickup_location_id"].to_pylist())) > 20
    assert files.flagged[ZONE_FLAG] == files.trips


def test_only_months_of_coordinates_depend_on_the_polygons(monkeypatch: pytest.MonkeyPatch) -> None:
    def versions() -> dict[tuple[Service, str], str]:
        months = {
            Service.YELLOW: ("2009-01", "2016-06", "2016-07"),
            Service.GREEN: ("2020-04",),
            Service.FHV: ("2015-01",),
        }
        return {
            (service, name): version_of(service, Month.parse(name), "0" * 64, project_rules(service))
            for service, names in months.items()
            for name in names
        }

    before = versions()
    monkeypatch.setattr(zone_polygons, "fingerprint", lambda: "other polygons")
    changed = {month for month, version in versions().items() if version != before[month]}
    assert changed == {(Service.YELLOW, "2009-01"), (Service.YELLOW, "2016-06")}
    assert changed == {month for month in before if has_coordinates(month[0], Month.parse(month[1]))}


def test_a_rule_cannot_have_the_name_of_the_flag(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f"rules: [{{name: {ZONE_FLAG}, action: flag, when: pickup_latitude > 0, why: Odd.}}]")
    with pytest.raises(RuleError, match=f"a rule is called '{ZONE_FLAG}', a reserved name"):
        load_rules(path, Service.GREEN)


@pytest.mark.real
def test_zones_agree_with_an_exact_join_on_the_polygons_as_published(real_data: Path, tmp_path: Path) -> None:
    polygons, numbers = read_zones(real_data / "zones" / "taxi_zones.shp")
    months = [
        *(
            (path, "yellow", path.name[16:23])
            for path in real_data.glob("samples/yellow_tripdata_201[56]-01.csv")
        ),
        (real_data / "nyc-tlc-data" / "green" / "green_tripdata_2013-08.csv.gz", "green", "2013-08"),
    ]
    assigned, joined = [], []
    for path, service, month in months:
        files = parquet_month(source_file(path, Service(service), month), tmp_path / month)
        trips = pq.read_table(files.trips_path).to_pandas()
        for end in ("pickup", "dropoff"):
            points = trips[[f"{end}_longitude", f"{end}_latitude"]].fillna(0).to_numpy()
            assigned.append(trips[f"{end}_location_id"].fillna(0).to_numpy())
            joined.append(locate(polygons, numbers, points))
    equal = np.concatenate(assigned) == np.concatenate(joined)
    in_city = np.concatenate(joined) > 0
    assert in_city.sum() > 20_000
    assert equal[in_city].mean() >= 0.999, f"{equal[in_city].mean():.3%} of {in_city.sum():,} points"
    everywhere = random_points(200_000)
    assert (zone_grid().find(*everywhere.T) == locate(polygons, numbers, everywhere)).mean() >= 0.999
