"""The page: figures of a month in the template `report.html`, which escapes whatever comes from data."""

from __future__ import annotations

import calendar
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from nyc_taxi import __version__
from nyc_taxi.errors import TaxiError
from nyc_taxi.lake.lake import Lake
from nyc_taxi.lake.layout import report_key
from nyc_taxi.lake.object_store.gcs.config import GcsConfig
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.pipelines.zones import shipped_zones
from nyc_taxi.reporting.current_months import find_month, path_of
from nyc_taxi.reporting.month_summary import MonthSummary, summarise
from nyc_taxi.reporting.report import zone_map
from nyc_taxi.reporting.report.charts import BarChart, bar_chart, shades
from nyc_taxi.reporting.report.figures import Histogram, MonthFigures, aggregate, top
from nyc_taxi.settings import Settings
from nyc_taxi.transform.rules import BUILT_IN_WHY, read_rules

MONTHS_BEFORE = 12
TOP_ZONES = 12


def render(files: MonthFiles, settings: Settings) -> str:
    """The report on a month, compared with those before that are loaded, of which it fetches the quality.

    Raises TaxiError where the month's files are damaged.
    """
    figures, summary = aggregate(files), summarise(files)
    why = {rule.name: rule.why for rule in read_rules(settings.rules, files.service).rules} | BUILT_IN_WHY
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, ""), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html").render(
        files=files,
        summary=summary,
        tiles=_tiles(summary),
        charts=_charts(figures, files),
        week=_week(figures),
        zones=_zones(figures),
        verdicts=[
            ("Quarantined rows", "rows", files.rows_in, files.quarantined),
            ("Flagged trips", "trips", files.trips, files.flagged),
        ],
        why=why,
        months=_months(summary, settings),
        version=__version__,
    )


def write(files: MonthFiles, settings: Settings, path: Path) -> Path:
    """Render into a file; raises TaxiError where none can be written."""
    page = render(files, settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise TaxiError(f"{path}: cannot be written ({error.strerror}); name another file.") from None
    return path


def publish(files: MonthFiles, settings: Settings) -> str:
    """Render to where others find the page: into the lake if that is a bucket, else to `default_path`.

    Returns the path, or the URI as `address` has it. Raises TaxiError.
    """
    lake = Lake(settings)
    files = lake.versions.fetch(files)
    if not lake.is_shared:
        return str(write(files, settings, default_path(files, settings)))
    uri = lake.replace_page(report_key(files.service, files.month), render(files, settings))
    return address(uri, settings)


def address(uri: str, settings: Settings) -> str:
    """Return the URI of an object in the lake or, if Google has it, its address for a browser."""
    is_google = uri.startswith("gs://") and GcsConfig.from_settings(settings).is_google
    return f"https://storage.cloud.google.com/{quote(uri.removeprefix('gs://'))}" if is_google else uri


def default_path(files: MonthFiles, settings: Settings) -> Path:
    """Where the report on a month is written."""
    return settings.workspace / report_key(files.service, files.month)


def _tiles(summary: MonthSummary) -> list[tuple[str, str]]:
    files = summary.files
    tiles = [("trips", f"{files.trips:,}"), ("rows quarantined", f"{summary.quarantined_share:.2%}")]
    texts = {
        "charged in total": (summary.get("sum", "total_amount", "base_passenger_fare"), "${:,.0f}"),
        "median distance": (summary.get("median", "trip_distance"), "{:.2f} mi"),
        "median fare": (summary.get("median", "fare_amount", "base_passenger_fare"), "${:.2f}"),
    }
    return tiles + [(name, text.format(value)) for name, (value, text) in texts.items() if value is not None]


def _charts(figures: MonthFigures, files: MonthFiles) -> list[tuple[str, str, BarChart]]:
    """Title, explanation and chart."""
    days, hours = Counter[int](), Counter[int]()
    for day, _, hour, trips in figures.hours:
        days[day] += trips
        hours[hour] += trips
    last_day = (files.month.end - files.month.start).days
    by_day = [
        (str(day) if day % 7 == 1 else "", f"{files.month}-{day:02}: {days[day]:,} trips", days[day])
        for day in range(1, last_day + 1)
    ]
    by_hour = [
        (
            str(hour) if hour % 6 == 0 else "",
            f"{hour:02}:00 to {hour:02}:59: {hours[hour]:,} trips",
            hours[hour],
        )
        for hour in range(24)
    ]
    charts = [
        ("Trips per day", "By day of the month.", bar_chart(by_day, "Trips per day of the month")),
        (
            "Trips per hour",
            "By hour of the pick-up, whole month.",
            bar_chart(by_hour, "Trips per hour of the day"),
        ),
    ]
    for title, text, unit, histogram in (
        ("Distances", "Trips by miles, without those of 0.", "{} mi", figures.distances),
        ("Fares", "Trips by fare in dollars, without reversals.", "${}", figures.fares),
        (
            "Tips",
            "Trips by tip in per cent of the fare; cash tips are not in the data.",
            "{} %",
            figures.tips,
        ),
    ):
        if histogram:
            charts.append((title, text, _histogram(title, unit, histogram)))
    return charts


def _histogram(title: str, unit: str, histogram: Histogram) -> BarChart:
    values = []
    for place, (low, trips) in enumerate(histogram):
        left = len(histogram) - 1 - place
        share = f"{trips:,} trips ({trips / max(sum(count for _, count in histogram), 1):.1%})"
        until = "and more" if not left else f"to {unit.format(histogram[place + 1][0])}"
        label = f"{low}+" if not left else str(low) if place % 3 == 0 and left > 1 else ""
        values.append((label, f"{unit.format(low)} {until}: {share}", trips))
    return bar_chart(values, f"{title}: number of trips by class")


def _week(figures: MonthFigures) -> list[tuple[str, list[tuple[int, str]]]]:
    """For each day of the week the shade and the title of its hours: mean trips in one."""
    trips, dates = Counter[tuple[int, int]](), {weekday: set[int]() for weekday in range(1, 8)}
    for day, weekday, hour, count in figures.hours:
        trips[weekday, hour] += count
        dates[weekday].add(day)
    means = [trips[day, hour] / max(len(dates[day]), 1) for day in range(1, 8) for hour in range(24)]
    cells = [
        (shade, f"{calendar.day_name[place // 24]}, {place % 24:02}:00: {mean:,.1f} trips on average")
        for place, (shade, mean) in enumerate(zip(shades(means), means, strict=True))
    ]
    return [(calendar.day_abbr[day], cells[day * 24 : day * 24 + 24]) for day in range(7)]


def _zones(figures: MonthFigures) -> dict[str, Any] | None:
    """The map and the busiest zones; None for a month without zones."""
    if not figures.pickups:
        return None
    rows = shipped_zones().rows.to_pylist()
    names = {row["location_id"]: f"{row['zone']}, {row['borough']}" for row in rows}
    height, paths = zone_map.zone_paths()
    counts = [figures.pickups.get(zone, 0) for zone in paths]
    return {
        "width": zone_map.WIDTH,
        "height": height,
        "shapes": [
            (
                path,
                shade,
                f"{names.get(zone, zone)}: {count:,} pick-ups, {figures.dropoffs.get(zone, 0):,} drop-offs",
            )
            for (zone, path), shade, count in zip(paths.items(), shades(counts), counts, strict=True)
        ],
        "busiest": [
            (names.get(zone, str(zone)), trips, figures.dropoffs.get(zone, 0))
            for zone, trips in top(figures.pickups, TOP_ZONES)
        ],
    }


def _months(summary: MonthSummary, settings: Settings) -> list[MonthSummary]:
    """The month and those before that are loaded, the newest first; generated and real ones are not mixed."""
    months = [summary]
    for step in range(1, MONTHS_BEFORE + 1):
        try:
            files = find_month(summary.files.service, summary.files.month - step, settings)
            if files.source.is_sample == summary.files.source.is_sample:
                quality = path_of(files, "quality.parquet", settings)
                months.append(summarise(files.at(quality.parent)))
        except TaxiError:
            continue
    return months
