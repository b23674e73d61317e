"""Units, alerts and the dashboard in examples/ fit what they refer to."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nyc_taxi.reporting.metrics import HELP, Gauge, as_text
from nyc_taxi.settings import PROJECT

EXAMPLES = PROJECT / "examples"
OTLP = {"taxi_step_seconds_sum", "taxi_step_seconds_count"}
"""Names that a collector gives the histogram of nyc_taxi.telemetry.metrics."""


def expressions() -> list[str]:
    panels = json.loads((EXAMPLES / "grafana" / "taxi.json").read_text())["panels"]
    [group] = yaml.safe_load((EXAMPLES / "prometheus-alerts.yaml").read_text())["groups"]
    return [
        *(target["expr"] for panel in panels for target in panel["targets"]),
        *(rule["expr"] for rule in group["rules"]),
    ]


def test_dashboard_and_alerts_use_metrics_that_exist() -> None:
    used = {name for each in expressions() for name in re.findall(r"\btaxi_\w+", each)}
    assert used <= HELP.keys() | OTLP
    assert len(expressions()) > 8


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_prometheus_accepts_metrics_alerts_and_the_dashboards_expressions(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(expressions())]
    dashboard = tmp_path / "dashboard.yaml"
    dashboard.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    metrics = as_text(Gauge(name, {"service": "green"}, 1.0) for name in HELP)
    for arguments, text in (
        (["rules", str(EXAMPLES / "prometheus-alerts.yaml"), str(dashboard)], ""),
        (["metrics"], metrics),
    ):
        checked = subprocess.run(
            ["promtool", "check", *arguments], input=text, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    taxi = str(Path(sys.executable).with_name("taxi"))
    units = []
    for unit in (EXAMPLES / "systemd").iterdir():
        units.append(tmp_path / unit.name)
        units[-1].write_text(unit.read_text().replace("/opt/nyc-taxi/.venv/bin/taxi", taxi))
    verified = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
