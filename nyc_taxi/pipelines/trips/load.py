"""The last step of a month: load it into its destinations in parallel."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from nyc_taxi.errors import Transient, wrap_os_errors
from nyc_taxi.extract.transfer import Progress
from nyc_taxi.lake.current import make_current
from nyc_taxi.lake.lake import Lake
from nyc_taxi.lake.workspace import Workspace
from nyc_taxi.load.contract import Destination, refuse_sample
from nyc_taxi.load.registry import REGISTRY, load_order, open_destination
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.run import RunContext
from nyc_taxi.pipelines.plausibility import review
from nyc_taxi.pipelines.zones import ensure_zones
from nyc_taxi.telemetry import datasets, events, lineage
from nyc_taxi.transform.refined import RefinedMonth

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """The result of loading into one destination."""

    destination: str
    describe: str
    """Location of the destination, for users."""
    entry: LedgerEntry
    skipped: bool
    """Whether the destination already held this version."""
    seconds: float


def load(
    month: RefinedMonth,
    destination: str,
    context: RunContext,
    progress: Progress | None = None,
    *,
    force: bool = False,
) -> Loaded:
    """Load the month into a destination and record it; never replaces a real month by a sample.

    Skips a destination that already holds this version, unless its data is damaged or `force` is set.
    The caller must have checked the month with `plausibility.review`.
    """
    with _reported(month, destination, context) as done:
        target = open_destination(destination, context.settings)
        return done(target, _load(month, target, context, progress, force))


@contextmanager
def _reported(
    month: RefinedMonth, destination: str, context: RunContext
) -> Iterator[Callable[[Destination, Loaded], Loaded]]:
    """Report a load as an event and as lineage; the function takes what it came to."""
    summary, settings = month.summary, context.settings
    with (
        events.bound(context.run),
        events.step("load", service=summary.service, month=summary.month, destination=destination) as facts,
        lineage.job(f"load.{destination}", summary) as flow,
    ):

        def done(target: Destination, loaded: Loaded) -> Loaded:
            facts["status"] = "skipped" if loaded.skipped else "ok"
            facts.update(rows=loaded.entry.rows_loaded, version=loaded.entry.version)
            if lineage.is_enabled():
                flow.inputs = [datasets.refined_input(month.files(), settings)]
                name = target.dataset(summary.service, summary.month)
                flow.outputs = [datasets.loaded_output(name, summary)]
            return loaded

        yield done


def _load(
    month: RefinedMonth, target: Destination, context: RunContext, progress: Progress | None, force: bool
) -> Loaded:
    started = time.monotonic()
    summary, destination = month.summary, target.name
    service, number = summary.service, summary.month
    held = target.ledger_entry(service, number)
    same = held if held and held.version == summary.version else None
    damage = target.find_damage(service, number, same) if same and not force else None
    if damage:
        log.warning("%s %s: %s %s. Loading it again.", service, number, destination, damage)
    elif same and not force:
        log.info("%s already holds %s %s: version %s.", destination, service, number, summary.version)
        _make_current(month, context)
        return Loaded(destination, target.describe(), same, True, time.monotonic() - started)
    refuse_sample(summary, held, destination)
    run = context.run
    if same and same.accepted and not run.accepted:
        run = dataclasses.replace(run, accepted=same.accepted)
    entry = target.replace_month(month, run, progress, damaged=same)
    ensure_zones(target)
    _make_current(month, context)
    return Loaded(destination, target.describe(), entry, False, time.monotonic() - started)


def load_all(
    month: RefinedMonth,
    destinations: list[str],
    context: RunContext,
    reporter: Callable[[str], Progress],
    *,
    force: bool = False,
    unread: Collection[str] = (),
    accept: bool = False,
) -> list[Loaded]:
    """Load into several destinations in parallel; see `load_side_by_side` for order and errors.

    `unread`: destinations whose ledgers were unreadable during the review; the month is reviewed again for
    them.
    """

    def load_one(name: str) -> Loaded:
        with _reported(month, name, context) as done:
            own = review(month.summary, [name], context, accept=accept) if name in unread else context
            target = open_destination(name, context.settings)
            return done(target, _load(month, target, own, reporter(name), force))

    return load_side_by_side(destinations, load_one)


def load_side_by_side(destinations: list[str], load_one: Callable[[str], Loaded]) -> list[Loaded]:
    """Call `load_one` on a thread per destination, after its dependencies in the registry.

    If a destination fails, those independent of it still finish; then one error is raised, preferably a
    transient one, which is retried, and further errors are logged.
    """
    futures: dict[str, Future[Loaded]] = {}

    def work(name: str) -> Loaded:
        for earlier in REGISTRY[name].loads_after:
            if earlier in futures:
                futures[earlier].result()
        return load_one(name)

    with ThreadPoolExecutor(max(len(destinations), 1), thread_name_prefix="load") as pool:
        for name in load_order(destinations):
            futures[name] = pool.submit(work, name)
    failed = {id(error): error for future in futures.values() if (error := future.exception())}
    errors = sorted(failed.values(), key=lambda error: not isinstance(error, Transient))
    for error in errors[1:]:
        log.error("%s", error)
    if errors:
        raise errors[0]
    return [futures[name].result() for name in destinations]


def _make_current(month: RefinedMonth, context: RunContext) -> None:
    """Make the version current in the workspace; with a shared lake, the workspace only holds copies."""
    if Lake(context.settings).is_shared:
        return
    files = month.files()
    with wrap_os_errors(files.folder):
        make_current(files, context.settings.workspace)
        Workspace(context.settings.workspace).prune(files.service, files.month, keep=files.version)
