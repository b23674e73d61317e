"""OpenTelemetry metrics of the steps of runs, sent over OTLP if OTEL_EXPORTER_OTLP_ENDPOINT is set.

    taxi.step.seconds       histogram  by service, step, destination, status
    taxi.rows               counter    the same
    taxi.rows.quarantined   counter    by service and rule
    taxi.months.behind, ... gauges     as `taxi metrics` prints them (nyc_taxi.reporting.metrics)

All OTEL_* variables of the SDK apply. The metrics are sent every minute, and when the process ends.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nyc_taxi.extras import has_extra_for

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

    from nyc_taxi.telemetry.events import Event

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")


def is_enabled() -> bool:
    """Whether a collector is named, and the extra is there; warns once if it is not."""
    return any(os.environ.get(name) for name in ENDPOINTS) and has_extra_for("otel", ENDPOINTS[0])


def record(event: Event) -> None:
    """Count a step."""
    if event.taxi_event != "step" or not is_enabled():
        return
    instruments = _instruments()
    who = _present(service=event.service, step=event.step, destination=event.destination, status=event.status)
    if event.seconds is not None:
        instruments["seconds"].record(event.seconds, who)
    if event.rows is not None:
        instruments["rows"].add(event.rows, who)
    if event.step == "clean" and event.status == "ok":
        for rule, rows in (event.quarantined or {}).items():
            instruments["quarantined"].add(rows, _present(service=event.service, rule=rule))


def send_gauges(values: Iterable[tuple[str, str, dict[str, str], float]]) -> None:
    """Send values at this moment: name as in Prometheus, description, attributes and value of each."""
    if not is_enabled():
        return
    for name, description, attributes, value in values:
        gauge = meter().create_gauge(name.replace("_", "."), description=description)
        gauge.set(value, attributes)


@functools.cache
def meter() -> Meter:
    """The meter of this process; it sends what is left when the process ends."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource

    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME") or "nyc_taxi"})
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return MeterProvider([reader], resource).get_meter("nyc_taxi")


@functools.cache
def _instruments() -> dict[str, Any]:
    return {
        "seconds": meter().create_histogram("taxi.step.seconds", "s", "Duration of a step"),
        "rows": meter().create_counter("taxi.rows", "{row}", "Rows that a step has handled"),
        "quarantined": meter().create_counter("taxi.rows.quarantined", "{row}", "Rows that are not trips"),
    }


def _present(**attributes: str | None) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if value}
