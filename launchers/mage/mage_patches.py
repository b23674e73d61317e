"""The command `mage` with patches: `python -m launchers.mage.mage_patches start mage_project`.

They fix these defects of Mage 0.9.80:

- Mage queues runs for a worker pool that ends when the queue is empty. A run queued at that moment, or one
  not yet visible to a new pool, waits until another run starts a pool.
- Queued items do not become visible at once. Mage considers a run that it has just queued lost and queues it
  again.
- A scheduler that died, for example because its database went away, is forked again from the server's event
  loop. Its runs inherit that loop, which still serves the server's sockets, and hang.
- A page with a terminal starts a shell even if terminals are disabled; only its input is refused.
- Charts on a pipeline's page Dashboard stay empty (`launchers.mage.dashboards`).
- The query for users' permissions uses a method that SQLAlchemy has removed, so users cannot be edited.
- Some routes require no login and respond to pages of other origins (launchers.mage.access).
- Pause and Play on the page *Pipelines* lose limits and start old triggers (launchers.mage.pause).
- Mage retries blocks after permanent errors (launchers.mage.retries).
- Files that a page edits get paths of this machine (launchers.mage.canonical).
- Sessions outlive a change of the password, and WebSockets their session (launchers.mage.sessions).
- Lists of runs show trigger tokens but not months (launchers.mage.run_labels).
- Links in notifications need MAGE_PUBLIC_HOST to be one address (launchers.mage.addresses).
- Idle connections of any client use up the files that the server may open (launchers.mage.connections).
- The editor's kernel accepts code from every user of the machine, and outlives Mage (launchers.mage.kernels).
- SQL blocks on DuckDB do not find the data frame of the block above (launchers.mage.sql_blocks).
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from pathlib import Path
from typing import Any

import tornado.web
from mage_ai.orchestration.db.cache import CachingQuery
from mage_ai.orchestration.queue.process_queue import JobStatus, ProcessQueue

from launchers.instance_lock import end_with_starter
from launchers.mage.addresses import public_urls
from launchers.mage.command import app
from launchers.mage.connections import BoundedServer, raise_file_limit
from launchers.mage.dashboards import patch_dashboards
from launchers.mage.kernels import patch_kernels

VISIBILITY_DELAY = 0.5
"""Seconds until a queued item is visible."""


def apply_patches() -> None:
    """Apply all patches in this process and its forks."""
    patch_users()
    patch_queue()
    patch_terminal()
    patch_kernels()
    patch_server()
    patch_links()
    # imported here as they read settings that tests set
    from launchers.mage.canonical import patch_metadata
    from launchers.mage.pause import patch_pause
    from launchers.mage.retries import patch_retries
    from launchers.mage.run_labels import patch_run_labels
    from launchers.mage.sessions import patch_sessions
    from launchers.mage.sql_blocks import patch_duckdb_blocks

    patch_metadata()
    patch_pause()
    patch_retries()
    patch_run_labels()
    patch_sessions()
    patch_duckdb_blocks()
    patch_dashboards()
    os.register_at_fork(after_in_child=lambda: asyncio.set_event_loop(asyncio.new_event_loop()))


def patch_users() -> None:
    """Add the query method that Mage's query for users' permissions calls."""
    CachingQuery.from_self = lambda query: _Numbered(query)  # a function, so that it becomes a method


def patch_links() -> None:
    """Begin the links in notifications with the first address of MAGE_PUBLIC_HOST."""
    from mage_ai.orchestration.notification import sender

    if urls := public_urls():
        sender.MAGE_PUBLIC_HOST = urls[0]


class _Numbered:
    """`query.from_self().filter(row_number == 1)`, the only form that Mage uses."""

    def __init__(self, query: CachingQuery) -> None:
        self._query = query

    def filter(self, _row_number_is_1: object) -> CachingQuery:
        rows = self._query.subquery()
        return self._query.session.query(rows).filter(rows.c.row_number == 1)


def patch_queue() -> None:
    """Make `has_job` wait until a queued job is visible, and start a worker pool if none is alive."""
    original = ProcessQueue.has_job
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def has_job(self: ProcessQueue, job_id: str, *arguments: Any, **options: Any) -> bool:
        if self.job_dict.get(job_id) == JobStatus.QUEUED and self.queue.empty():
            time.sleep(VISIBILITY_DELAY)
        if not self.queue.empty() and not self.is_worker_pool_alive():
            self.start_worker_pool()
        return bool(original(self, job_id, *arguments, **options))

    ProcessQueue.has_job = has_job


def patch_terminal() -> None:
    """Start no shell if DISABLE_TERMINAL is set, but keep the connection, or the page keeps reconnecting."""
    from mage_ai.server import terminal_server  # imported here as it reads settings that tests set

    if terminal_server.DISABLE_TERMINAL:
        server = terminal_server.TerminalWebsocketServer
        server.open = lambda connection, *_: connection.send_json_message(["setup", {}])


def patch_server() -> None:
    """Make Mage's server check every request, and bound what clients without a session use."""
    from launchers.mage.server_guard import Headers, guarded  # imported here as it reads settings

    class GuardedServer(tornado.web.Application):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.add_transform(Headers)

        def listen(self, port: int, address: str | None = None, **options: Any) -> BoundedServer:
            server = BoundedServer(self, **options)
            server.listen(port, address=address)
            return server

        def get_handler_delegate(self, *arguments: Any, **options: Any) -> Any:
            return super().get_handler_delegate(*guarded(*arguments, **options))

    tornado.web.Application = GuardedServer  # type: ignore[misc]


if __name__ == "__main__":
    end_with_starter()
    os.environ["PYTHONSTARTUP"] = str(
        Path(__file__).with_name("kernel_startup.py")
    )  # for the editor's kernel
    raise_file_limit()
    apply_patches()
    app()
