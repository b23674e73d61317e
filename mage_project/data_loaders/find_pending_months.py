from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.run_variables import run_variables
from mage_project.utils.steps import step
from mage_project.utils.variables import execution_day, log_context
from nyc_taxi.model.months import Month
from nyc_taxi.pipelines.pending import months_to_check, pending_months
from nyc_taxi.pipelines.requests import destinations, services
from nyc_taxi.settings import load_settings

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_loader
def find_pending_months(*args, **variables):
    """List the months that are published but not loaded in that version into every destination.

    Makes one HEAD request per month to the source and reads the ledger of each destination once.

    Returns the months, each with the reason.
    """
    since = variables.get("since")
    first, last = months_to_check(execution_day(variables), Month.parse(since) if since else None)
    settings = load_settings()
    source = variables.get("source") or settings.source
    with step("find_pending_months", log_context(variables)) as current:
        pending = list(
            pending_months(
                services(variables), first, last, source, destinations(variables, settings), settings
            )
        )
        current.log(f"{len(pending)} months are pending from {first} to {last}")
        months = [(month.service, month.month, month.why) for month in pending]
        return current.output(*run_variables(months, variables))


@test
def test_months_are_distinct(rows, *args, **variables):
    assert not rows.duplicated(["service", "month"]).any(), "a month is listed twice."
    assert_safe_preview(rows)
