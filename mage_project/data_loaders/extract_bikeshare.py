import pandas as pd

from mage_project.utils.bikeshare import day_of
from mage_project.utils.checks import assert_safe_preview, sha256
from mage_project.utils.references import reference_of
from mage_project.utils.steps import step
from nyc_taxi.pipelines.bikeshare import flow
from nyc_taxi.reporting import bikeshare_preview

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_loader
def extract_bikeshare(*args, **variables):
    """Read the stations from MySQL and the regions from the bucket, and write them as Parquet.

    Returns the first stations.
    """
    day = day_of(variables)
    with step("extract_bikeshare") as current:
        snapshots = flow.extract(flow.load_config(), day)
        rows = bikeshare_preview.file(snapshots[0].path) if snapshots else pd.DataFrame()
        reference = {"day": str(day), "snapshots": [snapshot.to_dict() for snapshot in snapshots]}
        return current.output(rows, reference)


@test
def test_files_hold_what_was_read(rows, *args, **variables):
    for snapshot in map(flow.Snapshot.from_dict, reference_of(rows)["snapshots"]):
        assert snapshot.rows > 0, f"{snapshot.table} has no rows."
        checksum = sha256(snapshot.path)
        assert checksum == snapshot.sha256, (
            f"{snapshot.path} has SHA-256 {checksum}, {snapshot.sha256} was written."
        )
    assert_safe_preview(rows)
