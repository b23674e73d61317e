from mage_project.utils.references import lookup_of, reference_of
from mage_project.utils.steps import step
from mage_project.utils.variables import log_context
from nyc_taxi.pipelines.requests import destinations
from nyc_taxi.pipelines.zones import load_zones, stored_zones
from nyc_taxi.settings import load_settings

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_exporter
def zones_to_destinations(data, *args, **variables):
    """Replace the table `zones` in every destination.

    Returns the zones.
    """
    file = lookup_of(data)
    settings = load_settings()
    names = destinations(variables, settings)
    with step("zones_to_destinations", log_context(variables)) as current:
        load_zones(stored_zones(file, settings), names, settings)
        return current.output(data, {**reference_of(data), "destinations": ", ".join(names)})


@test
def test_zones_are_loaded(rows, *args, **variables):
    reference = reference_of(rows)
    assert reference["destinations"], "the zones were loaded into no destination."
    assert reference["zones"] == len(rows)
