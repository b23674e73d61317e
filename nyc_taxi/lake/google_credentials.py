"""Credentials for Google's services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nyc_taxi.errors import SettingsError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials


def credentials(key_file: str, scopes: Sequence[str]) -> tuple[Credentials, str | None]:
    """Return credentials and their project, from a service account's key or application default credentials.

    Raises SettingsError for an invalid key, and the errors of google.auth.
    """
    import google.auth
    from google.oauth2 import service_account

    if not key_file:
        default, project = google.auth.default(scopes=scopes)
        return default, project
    try:
        key = service_account.Credentials.from_service_account_file(key_file, scopes=scopes)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"GOOGLE_SERVICE_ACC_KEY_FILEPATH={key_file!r} is not a service account's key: {error}."
        ) from None
    return key, key.project_id
