"""A bucket and the HTTP session to it, with the credentials that the target names."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from nyc_taxi.destinations.objects.gcs.target import Target
from nyc_taxi.errors import SettingsError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.auth.transport.requests import AuthorizedSession
    from google.cloud.storage import Bucket

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


def connect(target: Target) -> tuple[Bucket, AuthorizedSession]:
    """Prepare requests, without one yet; raises SettingsError for a bad key, and what google.auth raises."""
    with warnings.catch_warnings():
        # Google's libraries warn of what later versions of Python and grpc will mean to them.
        warnings.simplefilter("ignore", FutureWarning)
        from google.auth.transport.requests import AuthorizedSession
        from google.cloud import storage

    session = AuthorizedSession(_credentials(target))
    session.trust_env = not target.endpoint  # an emulator is near: no proxy leads to it
    client = storage.Client(
        project=None,  # buckets are found without
        credentials=session.credentials,
        client_options={"api_endpoint": target.endpoint} if target.endpoint else None,
        _http=session,
    )
    return client.bucket(target.bucket), session


def _credentials(target: Target) -> Credentials:
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.oauth2 import service_account

    if target.endpoint:
        return AnonymousCredentials()
    if not target.key_file:
        return google.auth.default(scopes=[SCOPE])[0]
    try:
        return service_account.Credentials.from_service_account_file(target.key_file, scopes=[SCOPE])
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"GOOGLE_SERVICE_ACC_KEY_FILEPATH={target.key_file!r} is not a service account's key: {error}."
        ) from None
