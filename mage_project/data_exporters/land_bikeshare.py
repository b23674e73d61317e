import pandas as pd

from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.steps import step
from nyc_taxi.pipelines.bikeshare import flow
from nyc_taxi.pipelines.bikeshare.config import place

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_exporter
def land_bikeshare(data, *args, **variables):
    """The snapshots into the bucket, each under the day it is of.

    Outputs: where they lie; the same references.
    """
    reference = data[1]
    with step("land_bikeshare") as current:
        uris = flow.land([flow.Snapshot.from_dict(plain) for plain in reference["snapshots"]])
        rows = pd.DataFrame({"uri": uris, "rows": [plain["rows"] for plain in reference["snapshots"]]})
        return current.outputs(rows, reference)


@test
def test_bucket_holds_the_snapshots(rows, reference, **variables):
    bucket = place().bucket
    for snapshot in map(flow.Snapshot.from_dict, reference["snapshots"]):
        stored = bucket.head(snapshot.key)
        assert stored is not None, f"{snapshot.key} is not in the bucket."
        found = stored.metadata.get("sha256")
        assert found == snapshot.sha256, f"{snapshot.key} has SHA-256 {found}, {snapshot.sha256} was landed."
    assert_safe_preview(rows)
