"""A connection to the dataset."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nyc_taxi.errors import SettingsError
from nyc_taxi.lake.google_credentials import credentials
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig
from nyc_taxi.load.warehouse.bigquery.errors import translate_errors

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.bigquery import Client

SCOPES = [
    "https://www.googleapis.com/auth/bigquery",
    "https://www.googleapis.com/auth/devstorage.read_only",  # load jobs that read from GCS
]

EMULATED_PROJECT = "local"


@dataclass(frozen=True)
class Connection:
    """A client and the dataset it works on."""

    client: Client
    config: BigQueryConfig
    location: str
    """Where the dataset is, and therefore its jobs."""

    @property
    def project(self) -> str:
        """The dataset's project, which also pays for the jobs."""
        project: str = self.client.project
        return project

    def name(self, table: str) -> str:
        """A table or view as the API names it."""
        return f"{self.project}.{self.config.dataset}.{table}"

    def qualified(self, table: str) -> str:
        """A table or view as SQL writes it."""
        return quoted(self.name(table))

    @property
    def options(self) -> dict[str, Any]:
        """What every request is given: repeated while the service is busy, in bounded time."""
        from google.cloud.bigquery.retry import DEFAULT_RETRY

        seconds = self.config.retry.timeout
        return {
            "retry": DEFAULT_RETRY.with_timeout(seconds).with_delay(initial=0.2, maximum=5),
            "timeout": seconds,
        }


def quoted(name: str) -> str:
    """A name as GoogleSQL writes it."""
    if "`" in name or "\\" in name:
        raise SettingsError(f"{name!r} is not a valid name in BigQuery: remove ` and \\.")
    return f"`{name}`"


def connect(config: BigQueryConfig) -> Connection:
    """Connect to the dataset, which must exist. Raises DestinationError or DestinationUnreachable."""
    with warnings.catch_warnings():
        # the client library warns of what a later version of Python or grpc will mean to it
        warnings.simplefilter("ignore", FutureWarning)
        from google.cloud import bigquery

    with translate_errors(config):
        credentials, project = _credentials(config)
        client = bigquery.Client(
            project=config.project or project,
            credentials=credentials,
            client_options={"api_endpoint": config.endpoint} if config.endpoint else None,
        )
        if config.endpoint:
            client._http.trust_env = False  # an emulator is near: no proxy leads to it
        connection = Connection(client, config, "")
        dataset = client.get_dataset(config.dataset, **connection.options)
        return Connection(client, config, dataset.location)


def _credentials(config: BigQueryConfig) -> tuple[Credentials, str | None]:
    from google.auth.credentials import AnonymousCredentials

    if config.endpoint:
        return AnonymousCredentials(), EMULATED_PROJECT
    loaded, project = credentials(config.key_file, SCOPES)
    if not (config.project or project):
        raise SettingsError(
            "BigQuery needs a project, which the credentials do not name: set GOOGLE_CLOUD_PROJECT."
        )
    return loaded, project
