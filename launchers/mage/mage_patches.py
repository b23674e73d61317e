"""Mage's own command, corrected: `python -m launchers.mage.mage_patches start mage_project`.

Mage 0.9.80 hands runs to a pool of workers that ends when it has nothing to do. A run that is handed over
at that very moment (or one that a new pool does not see at once) lies in the queue, counts as "in the
queue", and is not looked at until some other run starts a new pool: it waits for ever.
What is put into the queue is not seen in it at once either: the run that was just handed over seems lost, and
is handed over again.

A scheduler that has died, as it does when its database goes away, is forked anew out of the server's event
loop. Its runs go on with that loop, which still serves the server's sockets, and wait for ever.

A page that has a terminal gets a shell, whether terminals are allowed or not: only what is typed is refused.

And Mage asks for users' permissions in words that SQLAlchemy has dropped: users cannot be edited.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from typing import Any

from mage_ai.cli.main import app
from mage_ai.orchestration.db.cache import CachingQuery
from mage_ai.orchestration.queue.process_queue import JobStatus, ProcessQueue

from launchers.instance_lock import end_with_starter

UNSEEN = 0.5
"""Seconds after which what was put into a queue is seen in it."""


def correct() -> None:
    """Put all of it right in this process and those that it forks."""
    CachingQuery.from_self = lambda query: _Numbered(query)  # a method, which a class would not be
    correct_queue()
    correct_terminal()
    os.register_at_fork(after_in_child=lambda: asyncio.set_event_loop(asyncio.new_event_loop()))


class _Numbered:
    """`query.from_self().filter(row_number == 1)`, the one form in which Mage asks it."""

    def __init__(self, query: CachingQuery) -> None:
        self._query = query

    def filter(self, _row_number_is_1: object) -> CachingQuery:
        rows = self._query.subquery()
        return self._query.session.query(rows).filter(rows.c.row_number == 1)


def correct_queue() -> None:
    """Whoever asks after a job waits until it can be seen, and sees to it that it is taken."""
    asked = ProcessQueue.has_job
    if hasattr(asked, "__wrapped__"):
        return

    @functools.wraps(asked)
    def has_job(self: ProcessQueue, job_id: str, *arguments: Any, **options: Any) -> bool:
        if self.job_dict.get(job_id) == JobStatus.QUEUED and self.queue.empty():
            time.sleep(UNSEEN)
        if not self.queue.empty() and not self.is_worker_pool_alive():
            self.start_worker_pool()
        return bool(asked(self, job_id, *arguments, **options))

    ProcessQueue.has_job = has_job


def correct_terminal() -> None:
    """No shell where DISABLE_TERMINAL is set; the connection stays, or the page would ask again and again."""
    from mage_ai.server import terminal_server  # here: it reads settings that tests set

    if terminal_server.DISABLE_TERMINAL:
        server = terminal_server.TerminalWebsocketServer
        server.open = lambda connection, *_: connection.send_json_message(["setup", {}])


if __name__ == "__main__":
    end_with_starter()
    correct()
    app()
