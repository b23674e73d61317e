"""The exports that Cloud SQL runs for a day of the bike-share."""

from __future__ import annotations

import os
from typing import Any

from taxi_airflow.step import step


@step()
def exports(day: str) -> list[dict[str, Any]]:
    """Arguments of CloudSQLExportInstanceOperator, a set a table; none unless TAXI_BIKESHARE_EXTRACT=export.

    Raises SettingsError where CLOUD_SQL_INSTANCE is empty.
    """
    from nyc_taxi.errors import SettingsError
    from nyc_taxi.pipelines.bikeshare.bucket import day_folder
    from nyc_taxi.pipelines.bikeshare.extract import select
    from nyc_taxi.pipelines.bikeshare.flow import load_config, parse_day

    config = load_config()
    settings = config.settings
    if settings.bikeshare_extract != "export":
        return []
    instance = os.environ.get("CLOUD_SQL_INSTANCE")
    if not instance:
        raise SettingsError(
            "CLOUD_SQL_INSTANCE is not set: name the instance that exports, or set"
            " TAXI_BIKESHARE_EXTRACT=mysql."
        )
    project = os.environ.get("CLOUD_SQL_PROJECT")
    exports = []
    for table in config.tables:
        if table.origin != "mysql":
            continue
        context = {
            "fileType": "CSV",
            "uri": config.uri(f"{day_folder(table, parse_day(day))}{table.name}.csv"),
            "databases": [str(settings.connections.get("MYSQL_DATABASE", "bikeshare"))],
            "csvExportOptions": {
                "selectQuery": select(table),
                "escapeCharacter": settings.bikeshare_escape,
            },
        }
        named = {"project_id": project} if project else {}
        exports.append({"instance": instance, "body": {"exportContext": context}, **named})
    return exports
