"""A patch of Mage's pages with charts: `/pipelines/<pipeline>/dashboard`.

In Mage 0.9.80 the route of a page's layout also matches requests for its charts, and responds with an empty
layout, so that all charts stay empty.
"""

from __future__ import annotations

import functools
from typing import Any

_CHARTS = "/block_layout_items/"


def patch_dashboards() -> None:
    """Route requests for a page's charts to their resource."""
    from mage_ai.api.views import execute_operation
    from mage_ai.server.api.v1 import ApiResourceDetailHandler

    original = ApiResourceDetailHandler.get

    @functools.wraps(original)
    async def get(self: Any, resource: str, pk: str) -> Any:
        page, separator, chart = pk.partition(_CHARTS)
        if resource != "page_block_layouts" or not separator:
            return await original(self, resource, pk)
        return await execute_operation(self, resource, pk=page, child=_CHARTS.strip("/"), child_pk=chart)

    ApiResourceDetailHandler.get = get
