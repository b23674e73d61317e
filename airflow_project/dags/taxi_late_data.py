"""Every day: ask the source for months that came late or changed, and start a run for each."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import dag, get_current_context
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.timetables.trigger import CronTriggerTimetable

from taxi_airflow import load_requests
from taxi_airflow.defaults import common
from taxi_airflow.step import step


@dag(
    schedule=CronTriggerTimetable("0 8 * * *", timezone="UTC"),
    description="Each day start taxi_ingest for every month that was published or republished",
    doc_md="""
### Late and changed months

Asks the source, one HEAD request a month, which versions there are, and the ledgers, which versions are
held. For each month that is due `taxi_ingest` is started with a run id made from service, month and
published version, such as `taxi__green__2020-04__1f0c9e22ab`: whoever finds the same version again (the
next poll, somebody by hand) asks for the same run, and is told that it exists. When such a run is over and
the month is due all the same, because the run failed or a destination was added since, it is asked for again,
once a day, as `...__again-2020-07-01`.

A sensor would sit on a worker for weeks, and hold up every other run; a poll costs seconds.
""",
    params={
        "services": load_requests.SERVICES,
        "since": load_requests.SINCE,
        "source": load_requests.SOURCE,
        "destinations": load_requests.DESTINATIONS,
    },
    max_active_runs=1,
    **common("schedule"),
)
def taxi_late_data() -> None:
    @step()
    def poll(params: dict[str, Any]) -> list[dict[str, Any]]:
        """A run of taxi_ingest for each month that is due."""
        context = get_current_context()
        day = load_requests.day_of(context)
        runs = []
        for request, pending in load_requests.pending(params, day):
            run_id = load_requests.run_id(pending)
            if load_requests.has_ended(context, "taxi_ingest", run_id):
                run_id += f"__again-{day}"
            conf = {**request.to_dict(), "destinations": ",".join(request.destinations)}
            runs.append({"trigger_run_id": run_id, "conf": conf})
        return runs

    TriggerDagRunOperator.partial(
        task_id="start",
        trigger_dag_id="taxi_ingest",
        skip_when_already_exists=True,
    ).expand_kwargs(poll())


taxi_late_data()
