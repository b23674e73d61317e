"""Where BigQuery is: the profile of io_config.yaml, or the emulator that the environment names."""

from __future__ import annotations

from dataclasses import dataclass

from nyc_taxi.errors import SettingsError
from nyc_taxi.lake.object_store.gcs.config import GcsConfig, emulator_endpoint
from nyc_taxi.retry import DEFAULT_RETRY, RetryPolicy
from nyc_taxi.settings import Settings


@dataclass(frozen=True)
class BigQueryConfig:
    """A dataset, and how to authenticate."""

    dataset: str
    project: str = ""
    """Empty: the project of the credentials."""
    key_file: str = ""
    """Of a service account; empty: application default credentials."""
    require_partition_filter: bool = False
    """Whether a query on trips that names no month is refused; holds for tables made from now on."""
    endpoint: str = ""
    """Of an emulator, which asks for no credentials; empty: Google."""

    setting: str = "BIGQUERY_DATASET"
    """Which setting names the dataset."""
    bucket: GcsConfig | None = None
    """The bucket of the destination gcs, from which a month is loaded when it holds it."""
    retry: RetryPolicy = DEFAULT_RETRY

    @classmethod
    def from_settings(cls, settings: Settings) -> BigQueryConfig:
        """The BIGQUERY_* values; raises SettingsError where BIGQUERY_DATASET is empty."""
        values = settings.connections
        if "BIGQUERY_DATASET" not in values:
            raise SettingsError(
                "BigQuery is not configured: set BIGQUERY_DATASET, or use the destination duckdb, which holds"
                " the same tables in a file."
            )
        dataset = str(values["BIGQUERY_DATASET"])
        if not dataset.replace("_", "").isalnum():
            raise SettingsError(
                f"BIGQUERY_DATASET={dataset!r} is not a dataset's name: give the name alone (letters, digits"
                " and _), and the project as GOOGLE_CLOUD_PROJECT."
            )
        bucket = GcsConfig.from_settings(settings)
        return cls(
            dataset=dataset,
            project=str(values.get("GOOGLE_CLOUD_PROJECT", "")),
            key_file=str(values.get("GOOGLE_SERVICE_ACC_KEY_FILEPATH", "")),
            require_partition_filter=_flag(values.get("BIGQUERY_REQUIRE_PARTITION_FILTER", False)),
            endpoint=emulator_endpoint("BIGQUERY_EMULATOR_HOST"),
            bucket=None if bucket.embedded else bucket,
            retry=RetryPolicy.of(settings),
        )

    @property
    def where(self) -> str:
        """Project and dataset, for people."""
        return f"BigQuery dataset {self.project}{'.' if self.project else ''}{self.dataset}"

    def describe(self) -> str:
        """Where it is, and with which credentials."""
        if self.endpoint:
            return f"{self.where} on the emulator {self.endpoint}"
        return f"{self.where} with {self.key_file or 'application default credentials'}"


def _flag(value: object) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    try:
        return known[str(value).lower()]
    except KeyError:
        raise SettingsError(
            f"BIGQUERY_REQUIRE_PARTITION_FILTER={value!r} is not valid: use true or false."
        ) from None
