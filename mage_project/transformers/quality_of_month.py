import pandas as pd

from mage_project.utils.charts import show, show_page
from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.loading import month_files
from mage_project.utils.references import input_reference, reference_of
from mage_project.utils.steps import step
from mage_project.utils.variables import log_context
from nyc_taxi.reporting import chart, preview
from nyc_taxi.reporting.report import page
from nyc_taxi.settings import load_settings

if "transformer" not in globals():
    from mage_ai.data_preparation.decorators import transformer
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@transformer
def quality_of_month(data, *args, **variables):
    """Report on the month: trips per day, quarantined and flagged rows by reason, nulls, ranges.

    In the editor, a chart and the page of `taxi report` are shown above the table.

    Returns the quality report, the counts first, and the sum that it proves.
    """
    reference = input_reference(data)
    files = month_files(reference)
    with step("quality_of_month", log_context(variables, reference)) as current:
        show(lambda: chart.draw(files, narrow=True))
        show_page(lambda: page.render(files, load_settings()))
        report = current.output(preview.quality(files), files)
        # Mage 0.9.80 shows an empty frame for a chart beside a data frame alone
        return [
            report,
            f"{files.rows_in:,} rows in = {files.trips:,} trips + {files.rows_quarantined:,} quarantined",
        ]


@test
def test_report_counts_what_the_parquet_holds(rows, *args, **variables):
    reference = reference_of(rows)
    assert_safe_preview(rows)
    counts = pd.Series(rows["value"].to_numpy(), index=pd.MultiIndex.from_frame(rows[["measure", "subject"]]))
    quarantined = sum(reference["quarantined"].values())
    for measure, expected in {"trips": reference["trips"], "quarantined": quarantined}.items():
        count = counts[(measure, "")]
        assert count == expected, f"the report counts {count:.0f} {measure}, the Parquet holds {expected}."
