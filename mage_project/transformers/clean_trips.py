from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.steps import step
from mage_project.utils.transforms import assert_preview_is_real
from mage_project.utils.variables import log_context
from nyc_taxi.model.references import CleanMonth, SourceFile
from nyc_taxi.pipelines.trips.clean import clean
from nyc_taxi.reporting import preview
from nyc_taxi.schema import service_columns
from nyc_taxi.settings import load_settings

if "transformer" not in globals():
    from mage_ai.data_preparation.decorators import transformer
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@transformer
def clean_trips(data, *args, **variables):
    """Read every row by column name into the canonical types, and decide: trip or quarantine.

    The rules are in mage_project/rules.yaml. After you edit them, run this block again. To add columns or to
    drop trips, edit the block derive_trips.

    Outputs: the first rows with flags and reasons; a reference to the cleaned month (CleanMonth).
    """
    source, settings = SourceFile.from_dict(data[1]), load_settings()
    with step("clean_trips", log_context(variables, data[1])) as current:
        month = clean(source, settings, current.progress)
        counts = f"{month.rows_in:,} rows in = {month.trips:,} trips + {month.rows_quarantined:,} quarantined"
        current.log(counts)
        return current.outputs(preview.clean(month, settings), month)


@test
def test_every_row_is_a_trip_or_in_quarantine(rows, reference, **variables):
    month = CleanMonth.from_dict(reference)
    missing = month.rows_in - month.trips - month.rows_quarantined
    assert missing == 0, (
        f"{month.rows_in} rows came in, {month.trips} trips and {month.rows_quarantined} quarantined rows "
        f"went out: {missing} rows are unaccounted for."
    )


@test
def test_preview_has_the_canonical_columns(rows, reference, **variables):
    missing = {column.name for column in service_columns(CleanMonth.from_dict(reference).service)} - set(rows)
    assert not missing, f"the cleaned rows lack {', '.join(sorted(missing))}."
    assert_preview_is_real(rows, CleanMonth.from_dict(reference))
    assert_safe_preview(rows)
