"""What google-cloud-bigquery raises, and why jobs fail, as one sentence that says what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from nyc_taxi.errors import DestinationError, DestinationUnreachable
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig


class LockTimeout(DestinationUnreachable):
    """Another load was committed while this one was under way: look what is there now and start again."""


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
"""Reasons that another try may not meet (BigQuery's page of error messages)."""

_CONFLICT = ("due to concurrent update", "Failed to commit DuckLake transaction")
"""What BigQuery says of a transaction that it cancelled, and what the emulator says."""


@contextlib.contextmanager
def translate_errors(target: BigQueryConfig) -> Iterator[None]:
    """Turn errors of the client library into DestinationError or DestinationUnreachable."""
    import requests  # type: ignore[import-untyped]
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        yield
    except GoogleAPICallError as error:
        first = error.errors[0] if error.errors else {}
        raise _explain(target, first.get("reason", ""), error.message, error.code) from error
    except RetryError as error:
        cause = error.cause
        if isinstance(cause, GoogleAPICallError):
            raise _busy_service(target, cause.message) from error
        raise _unreachable(target, cause or error) from error
    except (TransportError, requests.RequestException) as error:
        raise _unreachable(target, error) from error
    except GoogleAuthError as error:
        key = f"the key {target.key_file}" if target.key_file else "the application default credentials"
        raise DestinationError(
            f"{target.where}: {key} cannot be used ({one_line(error)}); set GOOGLE_SERVICE_ACC_KEY_FILEPATH"
            " to a service account's valid key, or run `gcloud auth application-default login`."
        ) from error


def failure(target: BigQueryConfig, job_id: str, error: Mapping[str, str]) -> DestinationError:
    """Why a job failed: `error` is its errorResult."""
    return _explain(target, error.get("reason", ""), f"{error.get('message', '')} (job {job_id})", None)


def _explain(target: BigQueryConfig, reason: str, message: str, code: int | None) -> DestinationError:
    said = one_line(message)
    if any(part in said for part in _CONFLICT):
        return LockTimeout(
            f"{target.where}: other loads are being committed all the time; run the month again later."
        )
    if reason in _TRANSIENT or (code is not None and (code in (408, 429) or code >= 500)):
        return _busy_service(target, said)
    if reason == "notFound" or code == 404:
        return _not_found(target, said)
    if code == 401:
        return DestinationError(f"{target.where}: the credentials are not accepted ({said}); renew them.")
    if reason in ("quotaExceeded", "billingNotEnabled", "billingTierLimitExceeded"):
        return DestinationError(f"{target.where}: the project has no more to spend ({said}); see its quotas.")
    if reason == "accessDenied" or code == 403:
        return DestinationError(
            f"{target.where}: not permitted ({said}); grant the account roles/bigquery.dataEditor on the"
            " dataset and roles/bigquery.jobUser on the project."
        )
    return DestinationError(f"{target.where}: refused ({said}).")


def _not_found(target: BigQueryConfig, said: str) -> DestinationError:
    if "staging_" in said:
        return DestinationUnreachable(
            f"{target.where}: a staged table is gone, another run ended first ({said}); run the month again."
        )
    if "Dataset" in said:
        return DestinationError(
            f"{target.where}: there is no such dataset ({said}); create it, or set BIGQUERY_DATASET and"
            " GOOGLE_CLOUD_PROJECT."
        )
    return DestinationError(f"{target.where}: {said}.")


def _busy_service(target: BigQueryConfig, said: str) -> DestinationUnreachable:
    return DestinationUnreachable(
        f"{target.where}: the service is busy ({one_line(said)}); run the month again later."
    )


def _unreachable(target: BigQueryConfig, error: BaseException) -> DestinationError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return DestinationError(
            f"{target.where}: the server's certificate is not trusted here ({one_line(error)}); behind a"
            " proxy that re-signs traffic set REQUESTS_CA_BUNDLE to its certificate."
        )
    return DestinationUnreachable(
        f"{target.where} cannot be reached or broke off ({one_line(error)}); check the network and run the"
        " month again."
    )


def one_line(error: object) -> str:
    """The text of an error without line breaks and without a full stop."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
