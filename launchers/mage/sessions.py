"""Patches of sessions that Mage 0.9.80 leaves open.

A new password ends the user's other sessions. The end of a session, and of the rights of its user, ends open
WebSockets, which receive the outputs of all users' blocks.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from mage_ai.api.resources.UserResource import UserResource
from mage_ai.orchestration.db import db_connection, safe_db_query
from mage_ai.orchestration.db.models.oauth import Oauth2AccessToken
from mage_ai.server.websocket_server import WebSocketServer

from launchers.mage.access import has_editor

_update = UserResource.update


def patch_sessions() -> None:
    """Replace Mage's update of users, and its outputs to open WebSockets."""
    UserResource.update = update
    patch_outputs()


def patch_outputs() -> None:
    """Close a WebSocket, instead of writing to it, once its session has ended."""
    write = WebSocketServer.write_message

    def write_message(client: WebSocketServer, *arguments: Any, **options: Any) -> Any:
        if has_editor(client.request):
            return write(client, *arguments, **options)
        return client.close()

    WebSocketServer.write_message = write_message


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
