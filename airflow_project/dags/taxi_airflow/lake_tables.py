"""Arguments of Google's operators that make tables and views over the lake."""

from __future__ import annotations

from typing import Any

from taxi_airflow.step import step


@step()
def external_tables(params: dict[str, Any]) -> list[dict[str, Any]]:
    """Arguments of BigQueryCreateTableOperator, a set per table."""
    from nyc_taxi.load.warehouse.bigquery import elt

    config, services = _config(), _services(params)
    place = {"dataset_id": config.dataset, **({"project_id": config.project} if config.project else {})}
    return [
        {**place, "table_id": name, "table_resource": resource}
        for service in services
        for name, resource in elt.external_tables(service, config).items()
    ]


@step()
def views(params: dict[str, Any]) -> list[dict[str, Any]]:
    """Configurations of BigQueryInsertJobOperator, one per service."""
    from nyc_taxi.load.warehouse.bigquery import elt

    dataset = elt.qualified_dataset(_config())
    queries = [elt.trips_view(service, dataset) for service in _services(params)]
    return [{"query": {"query": query, "useLegacySql": False}} for query in queries]


def _config() -> Any:
    from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig
    from nyc_taxi.settings import load_settings

    return BigQueryConfig.from_settings(load_settings())


def _services(params: dict[str, Any]) -> list[Any]:
    from nyc_taxi.errors import SettingsError
    from nyc_taxi.load.warehouse.bigquery.elt import SERVICES
    from nyc_taxi.model.months import Service

    services = Service.parse_several(params["services"])
    if not {*services} <= {*SERVICES}:
        known = ", ".join(SERVICES)
        raise SettingsError(f"services {params['services']!r}: the views know the rules of {known} alone.")
    return services
