"""The figures of a contender's runs, and the targets to compare them with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median

from benchmarks.measure import Measured


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    name: str
    title: str
    group: str
    rows: int
    """Rows of the contender's month."""
    rounds: int
    seconds: float = 0.0
    """Median of the rounds."""
    cpu: float = 0.0
    """Median of the rounds."""
    memory: float = 0.0
    """The greatest of the rounds, in MB."""
    steps: dict[str, float] = field(default_factory=dict)
    """Medians of the rounds."""
    failure: str = ""
    """Why the contender failed, if it did."""

    @property
    def per_row(self) -> float:
        """Seconds a row."""
        return self.seconds / self.rows


def summarise(figure: Figure, runs: list[Measured], steps: tuple[str, ...], timed: str) -> Figure:
    """Summarise several runs: shows `steps`; the time is that of the step `timed`, else of the whole run."""
    return replace(
        figure,
        seconds=median(run.steps[timed] if timed else run.wall for run in runs),
        cpu=median(run.cpu for run in runs),
        memory=max(run.memory for run in runs),
        steps={
            step: median(run.steps[step] for run in runs)
            for step in steps
            if all(step in run.steps for run in runs)
        },
    )


Figures = Mapping[str, Figure]
"""Figures by contender; `large` is `taxi run` on the large month."""


@dataclass(frozen=True)
class Target:
    """A performance target."""

    title: str
    unit: str
    needs: tuple[str, ...]
    """Names of the figures that the target compares."""
    value: Callable[[Figures], float]
    bound: float
    at_most: bool

    def goal(self) -> str:
        """In words."""
        return f"{'at most' if self.at_most else 'at least'} {self.bound:g}{self.unit}"

    def outcome(self, figures: Figures) -> Outcome:
        """How it stands."""
        if not all(name in figures and not figures[name].failure for name in self.needs):
            return Outcome(self.title, self.goal(), "", "not measured")
        value = self.value(figures)
        met = value <= self.bound if self.at_most else value >= self.bound
        return Outcome(self.title, self.goal(), f"{value:.3g}{self.unit}", "met" if met else "not met")


@dataclass(frozen=True)
class Outcome:
    """A target, its measured value, and `met`, `not met` or `not measured`."""

    title: str
    goal: str
    measured: str
    verdict: str


def _faster(name: str, title: str, bound: float) -> Target:
    """Return a target for our speed per row relative to another contender's."""
    return Target(
        f"faster than {title}",
        "x",
        ("taxi_run", name),
        lambda figures: figures[name].per_row / figures["taxi_run"].per_row,
        bound,
        at_most=False,
    )


def _times(title: str, ours: str, theirs: str, bound: float) -> Target:
    """Return a target for the time of one contender as a multiple of another's."""
    return Target(
        title,
        "x",
        (ours, theirs),
        lambda figures: figures[ours].seconds / figures[theirs].seconds,
        bound,
        at_most=True,
    )


def _memory(name: str, title: str, bound: float) -> Target:
    return Target(
        f"peak memory, {title}", " MB", (name,), lambda figures: figures[name].memory, bound, at_most=True
    )


TARGETS = [
    _times("everything, against the server's binary COPY alone", "taxi_run", "server_copy", 1.75),
    _faster("dlt_parquet", "dlt", 2),
    _faster("mage_exporter", "Mage's exporter", 5.5),
    _faster("course_script", "the course script", 30),
    _faster("polars_adbc", "polars", 1),
    _times("against DuckDB, which neither cleans nor writes Parquet", "taxi_run", "duckdb_postgres", 1.5),
    Target(
        "Parquet to the bucket, against Google's client, loading alone",
        "x",
        ("ours_gcs", "gcs_client"),
        lambda figures: figures["ours_gcs"].steps["load"] / figures["gcs_client"].steps["load"],
        1.3,
        at_most=True,
    ),
    Target(
        "Mage pipeline, beyond taxi run",
        " s",
        ("mage_pipeline", "taxi_run"),
        lambda figures: figures["mage_pipeline"].seconds - figures["taxi_run"].seconds,
        2,
        at_most=True,
    ),
    _memory("taxi_run", "the month", 350),
    _memory("large", "the large month", 380),
    _times("time of the large month, against the month", "large", "taxi_run", 5.5),
]
