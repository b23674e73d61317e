from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.run_variables import wanted_months
from mage_project.utils.steps import step
from mage_project.utils.variables import context_of, destinations_of, execution_day, services_of
from nyc_taxi.model.months import Month
from nyc_taxi.pipelines.pending import due_months, months_to_look_at
from nyc_taxi.settings import settings

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_loader
def find_due_months(*args, **variables):
    """Months that are published and missing in a destination, or published anew since they were loaded.

    One cheap question a month to the source, one read of each destination's ledger.

    Outputs: the months and why; what runs of taxi_trips are to be asked for.
    """
    since = variables.get("since")
    first, last = months_to_look_at(execution_day(variables), Month.parse(since) if since else None)
    source = variables.get("source") or settings().source
    with step("find_due_months", context_of(variables)) as current:
        found = list(due_months(services_of(variables), first, last, source, destinations_of(variables)))
        current.say(f"{len(found)} months are due from {first} to {last}")
        months = [(due.service, due.month, due.why) for due in found]
        return current.outputs(*wanted_months(months, variables))


@test
def test_no_month_is_due_twice(rows, reference, **variables):
    assert not rows.duplicated(["service", "month"]).any(), "a month is listed twice."
    assert_safe_preview(rows)
