"""What google-cloud-bigquery raises, and why jobs fail, as one sentence that says what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from nyc_taxi.errors import DestinationError, DestinationUnreachable, LockTimeout, one_line
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig

_TRANSIENT = {
    "backendError",
    "internalError",
    "jobBackendError",
    "jobInternalError",
    "jobRateLimitExceeded",
    "rateLimitExceeded",
    "tableUnavailable",
    "timeout",
    "stopped",
}
"""Reasons that may not apply to another attempt (BigQuery's page of error messages)."""

_CONFLICT = ("due to concurrent update", "Failed to commit DuckLake transaction")
"""What BigQuery says of a transaction that it cancelled, and what the emulator says."""


_OTHER_LOCATION = "different locations"
"""Part of what BigQuery says of a bucket that is not in the dataset's location."""

_BOTH = "the datasets of the trips and of the bike-share must both exist before the first load"


class AccessRefused(DestinationError):
    """The account lacks a permission, or a load reads from a bucket in another location."""

    def __init__(self, message: str, answer: str) -> None:
        super().__init__(message)
        self.answer = answer
        """What BigQuery said."""

    @property
    def other_location(self) -> bool:
        """Whether the location is the reason."""
        return _OTHER_LOCATION in self.answer


@contextlib.contextmanager
def translate_errors(config: BigQueryConfig) -> Iterator[None]:
    """Turn errors of the client library into DestinationError or DestinationUnreachable."""
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        yield
    except GoogleAPICallError as error:
        first = error.errors[0] if error.errors else {}
        raise _explain(config, first.get("reason", ""), error.message, error.code) from error
    except RetryError as error:
        cause = error.cause
        if isinstance(cause, GoogleAPICallError):
            raise _busy_service(config, cause.message) from error
        raise _unreachable(config, cause or error) from error
    except (TransportError, requests.RequestException) as error:
        raise _unreachable(config, error) from error
    except GoogleAuthError as error:
        key = f"the key {config.key_file}" if config.key_file else "the application default credentials"
        raise DestinationError(
            f"{config.where}: {key} cannot be used ({one_line(error)}); set GOOGLE_SERVICE_ACC_KEY_FILEPATH"
            " to a service account's valid key, or run `gcloud auth application-default login`."
        ) from error


def failure(config: BigQueryConfig, job_id: str, error: Mapping[str, str]) -> DestinationError:
    """Why a job failed: `error` is its errorResult."""
    return _explain(config, error.get("reason", ""), f"{error.get('message', '')} (job {job_id})", None)


def _explain(config: BigQueryConfig, reason: str, message: str, code: int | None) -> DestinationError:
    message = one_line(message)
    if any(part in message for part in _CONFLICT):
        return LockTimeout(f"{config.where}: conflicting changes keep committing; try again later.")
    if reason in _TRANSIENT or (code is not None and (code in (408, 429) or code >= 500)):
        return _busy_service(config, message)
    if reason == "notFound" or code == 404:
        return _not_found(config, message)
    if code == 401:
        return DestinationError(f"{config.where}: the credentials were rejected ({message}); renew them.")
    if reason in ("quotaExceeded", "billingNotEnabled", "billingTierLimitExceeded"):
        return DestinationError(
            f"{config.where}: the project's quota or budget is exhausted ({message}); check its quotas."
        )
    if reason == "accessDenied" or code == 403:
        # what Google answers where an account may not see which datasets exist
        advice = f", or create the dataset: {_BOTH}" if "may not exist" in message else ""
        return AccessRefused(
            f"{config.where}: not permitted ({message}); grant the account roles/bigquery.dataEditor on the"
            f" dataset and roles/bigquery.jobUser on the project{advice}.",
            message,
        )
    refused = f"{config.where}: refused ({message})."
    return AccessRefused(refused, message) if _OTHER_LOCATION in message else DestinationError(refused)


def _not_found(config: BigQueryConfig, message: str) -> DestinationError:
    if "staging_" in message:
        return DestinationUnreachable(
            f"{config.where}: another run finished first and dropped a staging table ({message});"
            " run the month again."
        )
    if "Dataset" in message:
        return DestinationError(
            f"{config.where}: the dataset does not exist ({message}); create it, or set {config.setting} and"
            f" GOOGLE_CLOUD_PROJECT: {_BOTH}."
        )
    return DestinationError(f"{config.where}: {message}.")


def _busy_service(config: BigQueryConfig, message: str) -> DestinationUnreachable:
    return DestinationUnreachable(
        f"{config.where}: the service is busy ({one_line(message)}); run the month again later."
    )


def _unreachable(config: BigQueryConfig, error: BaseException) -> DestinationError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return DestinationError(
            f"{config.where}: the server's certificate is not trusted on this machine ({one_line(error)});"
            " behind a proxy that re-signs traffic, set REQUESTS_CA_BUNDLE to its certificate."
        )
    return DestinationUnreachable(
        f"{config.where} cannot be reached or closed the connection ({one_line(error)}); check the network"
        " and run the month again."
    )
