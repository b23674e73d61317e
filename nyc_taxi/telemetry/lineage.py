"""OpenLineage: which file, through which version in the lake, became which tables.

Sent where the client's own settings name a transport: OPENLINEAGE_URL, OPENLINEAGE_CONFIG or OPENLINEAGE__*.
Two jobs of the namespace `nyc_taxi` (OPENLINEAGE_NAMESPACE): `refine`, from the raw file to the Parquet of a
version, and `load.<destination>`, from there to the table. Both have a START and a COMPLETE or FAIL event.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nyc_taxi import __version__
from nyc_taxi.extras import has_extra_for
from nyc_taxi.model.references import CleanMonth
from nyc_taxi.model.run import Run
from nyc_taxi.telemetry import events

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client import event_v2 as ol
    from openlineage.client.event_v2 import InputDataset, OutputDataset

log = logging.getLogger(__name__)

PRODUCER = f"urn:nyc-taxi:{__version__}"
PAUSE = 300.0
"""Seconds without events after one that nobody received: the client tries each for ten seconds and more."""

_sending = threading.Lock()
_paused_until = 0.0


class Flow:
    """What a job reads and writes; known at its end."""

    def __init__(self) -> None:
        self.inputs: list[InputDataset] = []
        self.outputs: list[OutputDataset] = []


def is_enabled() -> bool:
    """Whether lineage is asked for, and the extra is there; warns once if it is not."""
    names = [name for name in os.environ if name.startswith("OPENLINEAGE_")]
    is_asked_for = {"OPENLINEAGE_URL", "OPENLINEAGE_CONFIG"} & {*names} or any(
        name.startswith("OPENLINEAGE__TRANSPORT") for name in names
    )
    return bool(is_asked_for) and has_extra_for("lineage", "OPENLINEAGE_*")


@contextlib.contextmanager
def job(name: str, month: CleanMonth) -> Iterator[Flow]:
    """Report a job of the current run: when it starts, and with what the block puts into the flow, its end.

    A receiver that does not answer fails no run, and delays it once in PAUSE seconds.
    """
    flow = Flow()
    if not is_enabled():
        yield flow
        return
    _client()  # names this package as the producer of all facets
    run = events.current_run() or Run.new("cli")
    run_id = str(uuid.uuid4())
    _send("START", run_id, name, month, run, flow)
    try:
        yield flow
    except Exception as error:
        _send("FAIL", run_id, name, month, run, flow, error)
        raise
    _send("COMPLETE", run_id, name, month, run, flow)


def _send(
    kind: str, run_id: str, name: str, month: CleanMonth, run: Run, flow: Flow, error: Exception | None = None
) -> None:
    from openlineage.client import event_v2 as ol
    from openlineage.client.generated import error_message_run, nominal_time_run, parent_run

    namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or "nyc_taxi"
    parent = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run.orchestrator}:{run.run_id}"))
    facets: dict[str, Any] = {
        "nominalTime": nominal_time_run.NominalTimeRunFacet(
            f"{month.month.first_day}T00:00:00Z", f"{(month.month + 1).first_day}T00:00:00Z"
        ),
        "parent": parent_run.ParentRunFacet(
            parent_run.Run(parent), parent_run.Job(namespace, f"{run.orchestrator}.{month.service}")
        ),
    }
    if error:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(str(error), "PYTHON")
    event = ol.RunEvent(
        eventType=ol.RunState[kind],
        eventTime=dt.datetime.now(dt.UTC).isoformat(),
        run=ol.Run(run_id, facets),
        job=ol.Job(namespace, f"{name}.{month.service}"),
        inputs=flow.inputs,
        outputs=flow.outputs,
        producer=PRODUCER,
    )
    _emit(event, month)


def _emit(event: ol.RunEvent, month: CleanMonth) -> None:
    global _paused_until
    with _sending:  # one thread learns that the receiver is gone, and the others need not
        if time.monotonic() < _paused_until:
            return
        try:
            _client().emit(event)
        except Exception as failure:  # of any transport, which may be a plugin
            if getattr(failure, "response", None) is not None:  # refused: the next event may be accepted
                log.warning("The lineage of %s was not sent: %s", month, failure)
                return
            _paused_until = time.monotonic() + PAUSE
            log.warning(
                "The lineage of %s was not sent, and none is in the next %.0f s: %s", month, PAUSE, failure
            )


@functools.cache
def _client() -> OpenLineageClient:
    from openlineage.client import OpenLineageClient, set_producer

    set_producer(PRODUCER)
    return OpenLineageClient()
