"""Steps against a real service: limited in time and money, and reported as Markdown."""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nyc_taxi import __version__


class StepFailed(Exception):
    """What was expected and what was seen instead."""


@dataclass(frozen=True)
class Outcome:
    """A step and its result."""

    step: str
    result: str
    """`passed`, `failed` or `skipped`."""
    seconds: float
    seen: str


@dataclass
class Steps:
    """Takes one step after the other; those that exceed a limit are skipped."""

    title: str
    seconds: float = 3300.0
    """No step begins later than that, or runs for longer."""
    dollars: float = 1.5
    """No step begins after so much was spent."""
    spent: Callable[[], float] = lambda: 0.0
    outcomes: list[Outcome] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds until the limit, at least 1."""
        return max(1.0, self._started + self.seconds - time.monotonic())

    @property
    def failed(self) -> list[str]:
        """The steps that did not pass."""
        return [outcome.step for outcome in self.outcomes if outcome.result != "passed"]

    @property
    def passed(self) -> str:
        """How many steps passed, of how many."""
        return f"{len(self.outcomes) - len(self.failed)} of {len(self.outcomes)}"

    def extend(self, seconds: float) -> None:
        """Allow the steps that follow so many seconds from now, and their price."""
        self.seconds = time.monotonic() - self._started + seconds
        self.spent = lambda: 0.0

    def take(self, step: str, action: Callable[[], str], always: bool = False) -> bool:
        """Take a step; returns whether it passed. `always`: whether or not a limit is exceeded.

        The report says what `action` returns, or why it raises.
        """
        started = time.monotonic()
        result, seen = "skipped", "" if always else self._exceeded()
        if not seen:
            try:
                result, seen = "passed", action()
            except Exception as error:  # every error is a result
                result, seen = "failed", str(error) or type(error).__name__
        outcome = Outcome(step, result, time.monotonic() - started, " ".join(seen.split()))
        self.outcomes.append(outcome)
        sys.stderr.write(f"{outcome.result:8}{outcome.seconds:6.1f} s  {step}: {outcome.seen}\n")
        return result == "passed"

    def report(self, facts: Mapping[str, str]) -> str:
        """All results, as Markdown."""
        lines = [f"# {self.title}", ""]
        lines += [f"- {name}: {value}" for name, value in facts.items()]
        lines += [f"- Ended: {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, nyc_taxi {__version__}"]
        lines += [f"- Seconds: {time.monotonic() - self._started:.0f}"]
        lines += [f"- Passed: {self.passed} steps", ""]
        lines += ["| step | result | seconds | seen |", "| --- | --- | --- | --- |"]
        for outcome in self.outcomes:
            seen = outcome.seen.replace("|", "\\|")
            lines.append(f"| {outcome.step} | {outcome.result} | {outcome.seconds:.1f} | {seen} |")
        return "\n".join(lines) + "\n"

    def finish(self, facts: Mapping[str, str], path: Path) -> int:
        """Write the report; returns the exit code."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.report(facts), encoding="utf-8")
        sys.stderr.write(f"{self.passed} steps passed; report: {path}\n")
        return 1 if self.failed else 0

    def _exceeded(self) -> str:
        if self.left <= 1:
            return f"{self.seconds:.0f} s are over"
        if self.spent() > self.dollars:
            return f"more than ${self.dollars:.2f} are spent"
        return ""
