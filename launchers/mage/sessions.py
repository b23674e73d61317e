"""A patch of changes of a password: they end the user's other sessions, which Mage 0.9.80 leaves open."""

from __future__ import annotations

import datetime as dt
from typing import Any

from mage_ai.api.resources.UserResource import UserResource
from mage_ai.orchestration.db import db_connection, safe_db_query
from mage_ai.orchestration.db.models.oauth import Oauth2AccessToken

_update = UserResource.update


def patch_sessions() -> None:
    """Replace Mage's update of users."""
    UserResource.update = update


@safe_db_query  # type: ignore[untyped-decorator]
def update(resource: UserResource, payload: dict[str, Any], **options: Any) -> Any:
    """Update a user; if the password changes, end all sessions but the one that changes it."""
    has_password = bool(payload.get("password"))
    result = _update(resource, payload, **options)
    if has_password:
        own = options.get("oauth_token")
        sessions = Oauth2AccessToken.query.filter(Oauth2AccessToken.user_id == resource.model.id)
        for session in sessions:
            if own is None or session.id != own.id:
                session.expires = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        db_connection.session.commit()
    return result
