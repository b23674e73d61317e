"""Kill points of tests: one that the code does not have is refused, one that it has kills."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from nyc_taxi.settings import PROJECT
from tests.support.kill_points import KillPoint, checked_modules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nyc_taxi.nowhere:function:return", "no module nyc_taxi.nowhere"),
        ("nyc_taxi.nowhere.deeper:function:return", "no module nyc_taxi.nowhere.deeper"),
        ("nyc_taxi.model.months:nothing:return", "no function nothing"),
        ("nyc_taxi.model.months:month_range:before commit", "does not call commit"),
        ("nyc_taxi.model.months:month_range:sometimes", "no event"),
    ],
)
def test_a_kill_point_that_is_gone_is_refused(text: str, message: str) -> None:
    with pytest.raises(LookupError, match=message):
        KillPoint.parse(text)


def test_a_module_that_is_gone_is_refused() -> None:
    with pytest.raises(LookupError, match=r"nyc_taxi\.nowhere"):
        checked_modules("nyc_taxi", "nyc_taxi.nowhere")


@pytest.mark.parametrize(
    ("point", "printed"),
    [
        ("nyc_taxi.model.months:Month.parse:call:2", "1"),
        ("nyc_taxi.model.months:Month.parse:return:3", "1 2"),
        ("nyc_taxi.model.months:Month.parse:return:4", "1 2 3"),
    ],
)
def test_a_process_dies_at_its_kill_point(point: str, printed: str) -> None:
    program = f"""
from nyc_taxi.model.months import Month
from tests.support.kill_points import KillPoint
KillPoint.parse({point!r}).kill_here()
for number in (1, 2, 3):
    Month.parse("2020-04")
    print(number, end=" ", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    assert done.stdout.strip() == printed, done.stderr
    assert done.returncode == (0 if point.endswith("4") else -signal.SIGKILL)
