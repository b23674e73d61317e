"""Settings from Airflow's Variable and connections, as environment variables for the package.

- Variable `taxi`: a JSON object of settings named as in .env.example, such as
  {"TAXI_DESTINATIONS": "gcs,bigquery", "GCS_BUCKET": "my-trips"}.
- Connections `taxi_postgres` (Postgres) and `taxi_s3` (Amazon Web Services): hosts, logins, passwords.

Both win over the worker's environment; without them the environment decides. On Cloud Composer GCS_BUCKET in
the environment is Composer's own bucket, with DAGs and logs, so there it is not taken for the trips'.

The Variable sets values, not code: whoever may edit it may not choose what a worker executes.

Unless TAXI_LAKE says otherwise, the lake is the bucket wherever tasks may run on several machines.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from airflow.providers.common.compat.sdk import (
    AirflowNotFoundException,
    BaseHook,
    Connection,
    Variable,
    conf,
)

VARIABLE = "taxi"

SETTINGS = re.compile(
    r"TAXI_(?!(TRANSFORM|RULES|IO_CONFIG|BIKESHARE_TABLES)$)[A-Z_]+"
    r"|(POSTGRES|GCS|S3|BIGQUERY|MYSQL|BIKESHARE)_[A-Z_]+|DUCKDB_DATABASE"
    r"|GOOGLE_(CLOUD_PROJECT|LOCATION|SERVICE_ACC_KEY_FILEPATH)|STORAGE_EMULATOR_HOST"
    r"|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|REGION|ENDPOINT)"
)
"""Names that the Variable may set. Files with code, search paths and programs are the deployment's."""


def configure_environment() -> None:
    """Put the Variable and the connections into this task's environment, where settings are read."""
    values = Variable.get(VARIABLE, None, deserialize_json=True) or {}
    _refuse_other_names(values)
    settings = {name: str(value) for name, value in values.items()}
    for connection_id, names in (("taxi_postgres", _postgres), ("taxi_s3", _s3)):
        try:
            connection = BaseHook.get_connection(connection_id)
        except AirflowNotFoundException:
            continue
        settings |= {name: str(value) for name, value in names(connection).items() if value}
    if "COMPOSER_ENVIRONMENT" in os.environ:
        os.environ.pop("GCS_BUCKET", None)
    os.environ.update({"TAXI_LOG": "json", **settings})
    _choose_lake()


def _refuse_other_names(names: Iterable[str]) -> None:
    from nyc_taxi.errors import SettingsError

    if refused := sorted(name for name in names if not SETTINGS.fullmatch(name)):
        raise SettingsError(
            f"Airflow's Variable {VARIABLE} sets {', '.join(refused)}: it may set connections and options of"
            " the pipeline only. Set what decides which code runs where the DAGs are deployed"
            " (airflow_project/composer.env, or the environment)."
        )


def _choose_lake() -> None:
    """Resolve TAXI_LAKE=auto: workers on several machines have nothing but a bucket in common."""
    from nyc_taxi.settings import load_settings

    package = load_settings()
    if package.lake == "auto" and conf.get("core", "executor") not in ("LocalExecutor", "SequentialExecutor"):
        buckets = {"gcs": "GCS_BUCKET", "s3": "S3_BUCKET"}
        for lake, bucket in buckets.items():
            if bucket in package.connections:
                os.environ["TAXI_LAKE"] = lake
                return


def _postgres(connection: Connection) -> dict[str, object]:
    extra = connection.extra_dejson
    return {
        "POSTGRES_HOST": connection.host,
        "POSTGRES_PORT": connection.port,
        "POSTGRES_DBNAME": connection.schema,
        "POSTGRES_USER": connection.login,
        "POSTGRES_PASSWORD": connection.password,
        "POSTGRES_SSLMODE": extra.get("sslmode"),
        "POSTGRES_SSLROOTCERT": extra.get("sslrootcert"),
    }


def _s3(connection: Connection) -> dict[str, object]:
    extra = connection.extra_dejson
    return {
        "AWS_ACCESS_KEY_ID": connection.login,
        "AWS_SECRET_ACCESS_KEY": connection.password,
        "AWS_REGION": extra.get("region_name"),
        "AWS_ENDPOINT": extra.get("endpoint_url"),
    }
