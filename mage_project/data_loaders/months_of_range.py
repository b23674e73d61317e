from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.run_variables import run_variables
from mage_project.utils.steps import step
from mage_project.utils.variables import log_context
from nyc_taxi.model.months import Month, Service
from nyc_taxi.pipelines.backfill import backfill_months

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_loader
def months_of_range(*args, **variables):
    """List the months from `first` to `last`, both included.

    Returns the months.
    """
    with step("months_of_range", log_context(variables)) as current:
        service = Service.parse(variables.get("service") or "")
        first, last = (Month.parse(variables.get(name) or "") for name in ("first", "last"))
        months = [(service, month, "in the range") for month in backfill_months(service, first, last)]
        return current.output(*run_variables(months, variables))


@test
def test_range_has_months(rows, *args, **variables):
    assert len(rows) > 0, "the range has no months."
    assert_safe_preview(rows)
