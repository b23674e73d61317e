from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.references import reference_of
from mage_project.utils.steps import step
from nyc_taxi.pipelines.zones import fetch_zones, stored_zones
from nyc_taxi.settings import load_settings

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_loader
def download_zones(*args, **variables):
    """Download TLC's list of taxi zones, in which `NA` and `N/A` are names.

    Returns the zones.
    """
    source = variables.get("source") or ""
    with step("download_zones") as current:
        settings = load_settings()
        file = fetch_zones(settings, source)
        zones = stored_zones(file, settings)
        return current.output(zones.rows.to_pandas(), {"file": file.to_dict(), "zones": len(zones.rows)})


@test
def test_zones_are_distinct_and_named(rows, *args, **variables):
    assert rows["location_id"].is_unique, "a zone is listed twice."
    assert rows["zone"].notna().all(), "a zone has no name: NA was read as a null."
    assert len(rows) == reference_of(rows)["zones"]
    assert_safe_preview(rows)
