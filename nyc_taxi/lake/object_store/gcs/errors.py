"""Translate errors of google-cloud-storage into TaxiErrors with one sentence of cause and remedy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from nyc_taxi.errors import DestinationError, DestinationUnreachable, PreconditionFailed, one_line


@contextlib.contextmanager
def translate_errors(where: str, key_file: str) -> Iterator[None]:
    """Turn errors of the client library into DestinationError and its subclasses."""
    try:
        yield
    except Exception as error:
        known = _explain(error, where, key_file)
        if known is None:
            raise
        raise known from error


def _explain(error: Exception, where: str, key_file: str) -> DestinationError | None:
    import requests
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.cloud.storage.exceptions import DataCorruption

    match error:
        case GoogleAPICallError():
            return _from_response(error, where)
        case requests.exceptions.InvalidURL() | requests.exceptions.InvalidSchema():
            return DestinationError(f"{where}: {_one_line(error)}; check STORAGE_EMULATOR_HOST.")
        case requests.RequestException() | TransportError() | DataCorruption():
            return _unreachable(error, where)
        case GoogleAuthError():
            key = f"the key {key_file}" if key_file else "application default credentials"
            return DestinationError(
                f"{where}: {key} cannot be used ({_one_line(error)}); set GOOGLE_SERVICE_ACC_KEY_FILEPATH to"
                " a service account's valid key, or run `gcloud auth application-default login`."
            )
    return None


def _from_response(error: Exception, where: str) -> DestinationError:
    from google.api_core import exceptions as api

    message = _one_line(error)
    match error:
        case api.PreconditionFailed():
            return PreconditionFailed(f"{where}: another run is loading the same month; run it again.")
        case api.BadRequest() if "crc32c" in message.lower():
            return PreconditionFailed(
                f"{where}: the bytes were corrupted in transit ({message}); run the month again."
            )
        case api.NotFound():
            return DestinationError(f"{where}: the bucket does not exist; create it or set GCS_BUCKET.")
        case api.Unauthorized():
            return DestinationError(f"{where}: the credentials were rejected ({message}); renew them.")
        case api.Forbidden():
            return DestinationError(
                f"{where}: not permitted ({message}); grant the account the role roles/storage.objectUser"
                " on the bucket."
            )
        case api.TooManyRequests() | api.ServerError() | api.GatewayTimeout():
            return DestinationUnreachable(
                f"{where}: the service is busy ({message}); run the month again later."
            )
        case api.GoogleAPICallError() if error.code in (408, 409):  # timeout; concurrent write to the object
            return DestinationUnreachable(
                f"{where}: the service is busy ({message}); run the month again later."
            )
        case _:
            return DestinationError(f"{where}: refused ({message}).")


def _unreachable(error: Exception, where: str) -> DestinationError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return DestinationError(
            f"{where}: the server's certificate is not trusted on this machine ({_one_line(error)}); behind"
            " a proxy that re-signs traffic, set REQUESTS_CA_BUNDLE to its certificate."
        )
    return DestinationUnreachable(
        f"{where} cannot be reached or closed the connection ({_one_line(error)}); check the network and run"
        " the month again."
    )


def _one_line(error: BaseException) -> str:
    """Return the service's message, if any; uploads wrap it in URLs and status codes."""
    try:
        message = error.response.json()["error"]["message"]  # type: ignore[attr-defined]
    except (AttributeError, ValueError, KeyError, TypeError):
        message = getattr(error, "message", None) or error
    return one_line(message)
