from mage_project.utils.steps import step
from mage_project.utils.variables import context_of, destinations_of
from nyc_taxi.pipelines.zones import fetch_zones, load_zones

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_exporter
def zones_to_destinations(data, *args, **variables):
    """The table `zones` in every destination, replaced as a whole.

    Outputs: the zones; the destinations that hold them.
    """
    rows, reference = data
    names = destinations_of(variables)
    with step("zones_to_destinations", context_of(variables)) as current:
        load_zones(fetch_zones(reference["source"]), names)  # the download is there already
        return current.outputs(rows, {**reference, "destinations": ", ".join(names)})


@test
def test_some_destination_has_them(rows, reference, **variables):
    assert reference["destinations"], "the zones went nowhere."
    assert reference["zones"] == len(rows)
