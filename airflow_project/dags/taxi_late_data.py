"""Every day: ask the source for months that came late or changed, and start a run for each."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import dag, get_current_context
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.timetables.trigger import CronTriggerTimetable

from taxi_airflow import load_requests, run_params
from taxi_airflow.defaults import common
from taxi_airflow.step import step


@dag(
    schedule=CronTriggerTimetable("0 8 * * *", timezone="UTC"),
    description="Every day, start taxi_ingest for each month that was published or republished",
    doc_md="""
### Late and changed months

Compares the versions that the source publishes (one HEAD request per month) with those in the ledgers. For
each pending month it starts `taxi_ingest` with a run id derived from the service, month and published
version, such as `taxi__green__2020-04__1f0c9e22ab`, so that a second request for the same version (by the
next poll or by hand) does not start a second run. If such a run has ended and the month is still pending,
because the run failed or a destination was added since, it is requested again once a day, as
`...__again-2020-07-01`.

A sensor would occupy a worker for weeks; a poll takes seconds.
""",
    params={
        "services": run_params.SERVICES,
        "since": run_params.SINCE,
        "source": run_params.SOURCE,
        "destinations": run_params.DESTINATIONS,
    },
    **common("schedule"),
)
def taxi_late_data() -> None:
    @step()
    def poll(params: dict[str, Any]) -> list[dict[str, Any]]:
        """A run of taxi_ingest for each pending month."""
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
