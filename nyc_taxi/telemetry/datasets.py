"""The raw file, the version in the lake and the tables of a month as OpenLineage names them.

Names follow https://openlineage.io/docs/spec/naming.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.settings import Settings

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset


def raw_file(month: CleanMonth) -> InputDataset:
    """The file as it was published, with its rows and bytes."""
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.generated import dataset_version_dataset, input_statistics_input_dataset

    source = month.source
    version = dataset_version_dataset.DatasetVersionDatasetFacet(source.sha256)
    size = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(month.rows_in, source.size, 1)
    return InputDataset(
        *_of_url(source.url), facets={"version": version}, inputFacets={"inputStatistics": size}
    )


def refined_input(files: MonthFiles, settings: Settings) -> InputDataset:
    """The Parquet of the trips, with the rows that each rule has quarantined as a failed assertion."""
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.generated import data_quality_assertions_dataset as quality
    from openlineage.client.generated import data_quality_metrics_input_dataset as metrics

    assertions = [
        quality.Assertion(assertion=rule, success=rows == 0, actual=str(rows), expected="0")
        for rule, rows in files.quarantined.items()
    ]
    facets: dict[str, Any] = {
        "dataQualityMetrics": metrics.DataQualityMetricsInputDatasetFacet({}, files.trips, _size(files)),
        "dataQualityAssertions": quality.DataQualityAssertionsDatasetFacet(assertions),
    }
    return InputDataset(*_of_version(files, settings), facets=_facets(files), inputFacets=facets)


def refined_output(files: MonthFiles, settings: Settings) -> OutputDataset:
    """The Parquet of the trips, with its rows and bytes."""
    return _output(_of_version(files, settings), files, _size(files), 1)


def loaded_output(name: tuple[str, str], month: CleanMonth) -> OutputDataset:
    """The trips in a destination, with their number; `name` is that of `Destination.dataset`."""
    return _output(name, month)


def _output(name: tuple[str, str], month: CleanMonth, *sizes: int) -> OutputDataset:
    """`sizes` are bytes and files, where they are known."""
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.generated.output_statistics_output_dataset import (
        OutputStatisticsOutputDatasetFacet,
    )

    counts = OutputStatisticsOutputDatasetFacet(month.trips, *sizes)
    return OutputDataset(*name, facets=_facets(month), outputFacets={"outputStatistics": counts})


def _facets(month: CleanMonth) -> dict[str, Any]:
    from openlineage.client.generated import dataset_version_dataset, schema_dataset

    from nyc_taxi.schema import trip_columns

    fields = [
        schema_dataset.SchemaDatasetFacetFields(column.name, str(column.type), column.description)
        for column in trip_columns(month.service)
    ]
    names = [*month.unknown_columns, *month.derived_columns]
    return {
        "schema": schema_dataset.SchemaDatasetFacet(
            [*fields, *map(schema_dataset.SchemaDatasetFacetFields, names)]
        ),
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(month.version),
    }


def _of_url(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    if parts.netloc:
        return f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/")
    return ("sample", url.removeprefix("sample:")) if parts.scheme == "sample" else ("file", url)


def _of_version(files: MonthFiles, settings: Settings) -> tuple[str, str]:
    uri = files.objects["trips.parquet"].uri
    return _of_url(uri if "://" in uri else str(settings.workspace / "lake" / uri))


def _size(files: MonthFiles) -> int:
    return files.objects["trips.parquet"].size
