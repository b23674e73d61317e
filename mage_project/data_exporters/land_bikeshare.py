import pandas as pd

from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.references import reference_of
from mage_project.utils.steps import step
from nyc_taxi.pipelines.bikeshare import flow

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_exporter
def land_bikeshare(data, *args, **variables):
    """Upload the snapshots to the bucket, below the folder of their day.

    Returns the objects.
    """
    reference = reference_of(data)
    with step("land_bikeshare") as current:
        snapshots = [flow.Snapshot.from_dict(plain) for plain in reference["snapshots"]]
        uris = flow.land(flow.load_config(), snapshots)
        rows = pd.DataFrame({"uri": uris, "rows": [plain["rows"] for plain in reference["snapshots"]]})
        return current.output(rows, reference)


@test
def test_bucket_holds_the_snapshots(rows, *args, **variables):
    bucket = flow.load_config().bucket
    for snapshot in map(flow.Snapshot.from_dict, reference_of(rows)["snapshots"]):
        stored = bucket.head(snapshot.key)
        assert stored is not None, f"{snapshot.key} is not in the bucket."
        checksum = stored.metadata.get("sha256")
        assert checksum == snapshot.sha256, (
            f"{snapshot.key} has SHA-256 {checksum}, {snapshot.sha256} was uploaded."
        )
    assert_safe_preview(rows)
