"""The quality report as a picture: what came in, what was kept out and why, and how the month ran."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from nyc_taxi.errors import TaxiError
from nyc_taxi.extras import require_extra
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.reporting.month_summary import summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRIPS, _FLAGGED, _QUARANTINED, _NULLS = "#2b6cb0", "#d69e2e", "#c53030", "#718096"
_LEAST_BARS, _MOST_BARS = 6, 14


def draw(files: MonthFiles, narrow: bool = False) -> bytes:
    """A PNG of four panels: trips a day, quarantined by rule, flagged by rule, share of nulls by column.

    1210 x 825 pixels. Narrow it is the first two, one below the other, 630 x 432. Raises TaxiError if the
    quality report is damaged.
    """
    require_extra("charts", "A chart")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    summary = summarise(files)
    figure = Figure(figsize=(7, 4.8) if narrow else (11, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    sample = " (generated sample)" if files.source.is_sample else ""
    figure.suptitle(
        f"{files.service} {files.month}{sample}: {files.rows_in:,} rows in = {files.trips:,} trips"
        f" + {files.rows_quarantined:,} quarantined",
        fontsize="medium" if narrow else "large",
    )
    days, quarantined, *others = figure.subplots(2, 1 if narrow else 2).flat
    _days(days, summary.by_subject("trips_on_day"))
    _bars(quarantined, "Quarantined, by rule", files.quarantined, _QUARANTINED, "nothing was quarantined")
    if others:
        flagged, nulls = others
        _bars(flagged, "Flagged trips, by rule", files.flagged, _FLAGGED, "no trip was flagged")
        shares = {name: share for name, share in summary.by_subject("null_share").items() if share}
        _bars(nulls, "Null values, share by column", shares, _NULLS, "no nulls")
        nulls.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=90 if narrow else 110)
    return png.getvalue()


def save(files: MonthFiles, path: Path) -> Path:
    """Draw into a PNG file; raises TaxiError as `draw` does, or where the file cannot be written."""
    if path.suffix.lower() != ".png":
        raise TaxiError(f"{path}: the chart is a PNG file; use a name that ends in .png.")
    try:
        path.write_bytes(draw(files))
    except OSError as error:
        raise TaxiError(f"{path}: cannot be written ({error.strerror}); name another file.") from None
    return path


def _days(axes: Axes, trips: dict[str, float]) -> None:
    axes.set_title("Trips a day", loc="left")
    numbers = [int(day[-2:]) for day in trips]
    axes.bar(numbers, list(trips.values()), color=_TRIPS)
    axes.set_xlabel("day of the month")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _plain(axes)


def _bars(
    axes: Axes, title: str, values: dict[str, int] | dict[str, float], color: str, nothing: str
) -> None:
    axes.set_title(title, loc="left")
    _plain(axes)
    if not values:
        axes.text(0.5, 0.5, nothing, ha="center", va="center", transform=axes.transAxes, color=_NULLS)
        axes.set_axis_off()
        return
    largest = sorted(values.items(), key=lambda item: item[1])[-_MOST_BARS:]
    bars = axes.barh([name for name, _ in largest], [value for _, value in largest], color=color)
    labels = [f"{value:,}" if isinstance(value, int) else f"{value:.1%}" for _, value in largest]
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.bar_label(bars, labels, padding=3, fontsize=8)
    axes.set_ylim(
        min(-0.6, len(largest) - _LEAST_BARS - 0.6), len(largest) - 0.4
    )  # no bar as thick as a beam
    axes.margins(x=0.15)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
