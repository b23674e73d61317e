"""What Cloud SQL is asked to export for a day of the bike-share."""

from __future__ import annotations

import os
from typing import Any


def exports_of(day: str) -> list[dict[str, Any]]:
    """Arguments of CloudSQLExportInstanceOperator, a set a table; none unless TAXI_BIKESHARE_EXTRACT=export.

    Raises SettingsError where CLOUD_SQL_INSTANCE is empty.
    """
    from nyc_taxi.errors import SettingsError
    from nyc_taxi.pipelines.bikeshare.bucket import day_folder
    from nyc_taxi.pipelines.bikeshare.config import place
    from nyc_taxi.pipelines.bikeshare.extract import quoted
    from nyc_taxi.pipelines.bikeshare.flow import parse_day
    from nyc_taxi.pipelines.bikeshare.tables import raw_tables
    from nyc_taxi.settings import profile, settings

    config = settings()
    if config.bikeshare_extract != "export":
        return []
    instance = os.environ.get("CLOUD_SQL_INSTANCE")
    if not instance:
        raise SettingsError(
            "CLOUD_SQL_INSTANCE is not set: name the instance that exports, or set"
            " TAXI_BIKESHARE_EXTRACT=mysql."
        )
    project = os.environ.get("CLOUD_SQL_PROJECT")
    here = place()
    exports = []
    for table in raw_tables("mysql"):
        names = ", ".join(quoted(column.name) for column in table.columns)
        context = {
            "fileType": "CSV",
            "uri": here.uri(f"{day_folder(table, parse_day(day))}{table.name}.csv"),
            "databases": [str(profile().get("MYSQL_DATABASE", "bikeshare"))],
            "csvExportOptions": {
                "selectQuery": f"SELECT {names} FROM {quoted(table.name)} ORDER BY {quoted(table.key)}",
                "escapeCharacter": config.bikeshare_escape,
            },
        }
        named = {"project_id": project} if project else {}
        exports.append({"instance": instance, "body": {"exportContext": context}, **named})
    return exports
