from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.steps import step
from nyc_taxi.pipelines.zones import fetch_zones

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_loader
def download_zones(*args, **variables):
    """TLC's list of taxi zones; `NA` and `N/A` in it are names.

    Outputs: the zones; where they came from.
    """
    source = variables.get("source") or ""
    with step("download_zones") as current:
        zones = fetch_zones(source)
        return current.outputs(zones.rows.to_pandas(), {"source": source, "zones": len(zones.rows)})


@test
def test_zones_are_distinct_and_named(rows, reference, **variables):
    assert rows["location_id"].is_unique, "a zone is listed twice."
    assert rows["zone"].notna().all(), "a zone has no name: NA was read as nothing."
    assert len(rows) == reference["zones"]
    assert_safe_preview(rows)
