from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.run_variables import wanted_months
from mage_project.utils.steps import step
from mage_project.utils.variables import context_of
from nyc_taxi.model.months import Month, Service
from nyc_taxi.pipelines.backfill import asked_range

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_loader
def months_of_range(*args, **variables):
    """Every month from `first` to `last`, both included.

    Outputs: the months; what runs of taxi_trips are to be asked for.
    """
    with step("months_of_range", context_of(variables)) as current:
        service = Service.parse(variables.get("service") or "")
        first, last = (Month.parse(variables.get(name) or "") for name in ("first", "last"))
        months = [(service, month, "asked for") for month in asked_range(service, first, last)]
        return current.outputs(*wanted_months(months, variables))


@test
def test_range_has_months(rows, reference, **variables):
    assert len(rows) > 0, "the range has no months."
    assert_safe_preview(rows)
