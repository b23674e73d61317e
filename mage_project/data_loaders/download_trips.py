from mage_project.utils.checks import assert_safe_preview, raw_path, sha256
from mage_project.utils.references import reference_of
from mage_project.utils.runs import record_month
from mage_project.utils.steps import step
from mage_project.utils.variables import log_context, request_of
from nyc_taxi.model.references import SourceFile
from nyc_taxi.pipelines.trips.download import download, fetch_raw
from nyc_taxi.reporting import preview
from nyc_taxi.settings import load_settings

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_loader
def download_trips(*args, **variables):
    """Download the month's raw file and verify it. An unchanged file is not fetched again.

    Returns the first rows of the file, before any rule.
    """
    request = request_of(variables)
    if "pipeline_run_id" in variables:
        record_month(variables["pipeline_run_id"], request)
    with step("download_trips", log_context(variables, request)) as current:
        source = download(request.service, request.month, request.source, load_settings(), current.progress)
        return current.output(preview.raw(fetch_raw(source, load_settings())), source)


@test
def test_file_is_the_one_downloaded(rows, *args, **variables):
    source = SourceFile.from_dict(reference_of(rows))
    path = raw_path(source)
    size, checksum = path.stat().st_size, sha256(path)
    assert size == source.size, f"{path} has {size} bytes, {source.size} were downloaded."
    assert checksum == source.sha256, f"{path} has SHA-256 {checksum}, {source.sha256} was downloaded."


@test
def test_preview_is_safe(rows, *args, **variables):
    # it may be empty: clean_trips refuses a file without a readable row, and says why
    assert_safe_preview(rows)
