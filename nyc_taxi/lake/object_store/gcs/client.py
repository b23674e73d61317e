"""A bucket and its HTTP session, with the configured credentials."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from nyc_taxi.lake.google_credentials import credentials
from nyc_taxi.lake.object_store.gcs.config import GcsConfig

if TYPE_CHECKING:
    from google.auth.transport.requests import AuthorizedSession
    from google.cloud.storage import Bucket

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


def connect(config: GcsConfig) -> tuple[Bucket, AuthorizedSession]:
    """Prepare requests without sending any; raises SettingsError or a google.auth error."""
    with warnings.catch_warnings():
        # Google's libraries warn of future incompatibilities with Python and grpc.
        warnings.simplefilter("ignore", FutureWarning)
        from google.auth.credentials import AnonymousCredentials
        from google.auth.transport.requests import AuthorizedSession
        from google.cloud import storage

    identity = AnonymousCredentials() if config.endpoint else credentials(config.key_file, [SCOPE])[0]
    session = AuthorizedSession(identity)
    session.trust_env = not config.endpoint  # emulators are local: no proxy
    client = storage.Client(
        project=None,  # not needed to access a bucket
        credentials=session.credentials,
        client_options={"api_endpoint": config.endpoint} if config.endpoint else None,
        _http=session,
    )
    return client.bucket(config.bucket), session
