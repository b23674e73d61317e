from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.references import input_reference, month_of
from mage_project.utils.steps import step
from mage_project.utils.transforms import assert_preview_is_real
from mage_project.utils.variables import log_context
from nyc_taxi.model.references import SourceFile
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

    Returns a random sample: first quarantined rows with their reasons, then trips with their flags.
    """
    reference = input_reference(data)
    source, settings = SourceFile.from_dict(reference), load_settings()
    with step("clean_trips", log_context(variables, reference)) as current:
        month = clean(source, settings, current.progress)
        counts = f"{month.rows_in:,} rows in = {month.trips:,} trips + {month.rows_quarantined:,} quarantined"
        current.log(counts)
        return current.output(preview.month(month, settings), month)


@test
def test_every_row_is_a_trip_or_in_quarantine(rows, *args, **variables):
    month = month_of(rows)
    missing = month.rows_in - month.trips - month.rows_quarantined
    assert missing == 0, (
        f"{month.rows_in} rows came in, {month.trips} trips and {month.rows_quarantined} quarantined rows "
        f"went out: {missing} rows are unaccounted for."
    )


@test
def test_preview_has_the_canonical_columns(rows, *args, **variables):
    month = month_of(rows)
    missing = {column.name for column in service_columns(month.service)} - set(rows)
    assert not missing, f"the cleaned rows lack {', '.join(sorted(missing))}."
    assert_preview_is_real(rows, month)
    assert_safe_preview(rows)
