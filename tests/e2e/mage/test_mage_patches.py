"""The patches of Mage's own code."""

from __future__ import annotations

import asyncio
import json

import pytest

from launchers.subprocess_group import START
from tests.support.waiting import until

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]


def test_a_job_handed_over_while_the_workers_leave_is_done(here, tmp_path, monkeypatch):
    from mage_ai.orchestration.queue.config import QueueConfig
    from mage_ai.orchestration.queue.process_queue import ProcessQueue

    from launchers.mage.mage_patches import patch_queue

    monkeypatch.setattr(ProcessQueue, "has_job", ProcessQueue.has_job)  # put back afterwards
    queue = ProcessQueue(QueueConfig(concurrency=1))
    queue.start()
    done = tmp_path / "done"
    with monkeypatch.context() as leaving:
        leaving.setattr(queue, "is_worker_pool_alive", lambda: True)  # they are still seen, for the last time
        queue.enqueue("a month", done.touch)
    until(lambda: not queue.queue.empty())
    assert queue.has_job("a month"), "for Mage it is in good hands"
    assert queue.worker_pool_proc is None, "but nobody is there"

    patch_queue()
    assert queue.has_job("a month")
    until(done.exists)
    queue.worker_pool_proc.join(30)  # type: ignore[attr-defined]  # no longer None
    queue.mp_manager.shutdown()


def test_a_job_that_is_not_seen_yet_is_not_handed_over_again(here, monkeypatch):
    from mage_ai.orchestration.queue.config import QueueConfig
    from mage_ai.orchestration.queue.process_queue import JobStatus, ProcessQueue

    from launchers.mage import mage_patches

    monkeypatch.setattr(ProcessQueue, "has_job", ProcessQueue.has_job)
    queue = ProcessQueue(QueueConfig(concurrency=1))
    queue.job_dict["a month"] = JobStatus.QUEUED
    seen = []
    monkeypatch.setattr(queue.queue, "empty", lambda: not seen)
    monkeypatch.setattr(queue, "is_worker_pool_alive", lambda: True)
    assert not queue.has_job("a month"), "for Mage it is lost"
    monkeypatch.setattr(mage_patches.time, "sleep", seen.append)  # by then it has come
    mage_patches.patch_queue()
    assert queue.has_job("a month")
    queue.mp_manager.shutdown()


def test_permissions_of_users_can_be_asked(mage_database, monkeypatch):
    from mage_ai.orchestration.db.cache import CachingQuery
    from mage_ai.orchestration.db.models.oauth import User
    from mage_ai.orchestration.queue.process_queue import ProcessQueue

    from launchers.mage import mage_patches

    monkeypatch.setattr(ProcessQueue, "has_job", ProcessQueue.has_job)
    monkeypatch.setattr(CachingQuery, "from_self", None, raising=False)
    mage_patches.patch_users()
    assert User.fetch_permissions([1]) == []


def test_a_page_gets_no_shell_where_terminals_are_off(here, monkeypatch):
    import tornado.httpserver
    import tornado.web
    from mage_ai.server import terminal_server
    from tornado.testing import bind_unused_port
    from tornado.websocket import websocket_connect

    from launchers.mage.mage_patches import patch_terminal

    monkeypatch.setattr(terminal_server, "DISABLE_TERMINAL", True)
    handler = terminal_server.TerminalWebsocketServer
    monkeypatch.setattr(handler, "open", handler.open)  # put back afterwards
    terminals = terminal_server.MageTermManager(shell_command=["false"])
    patch_terminal()

    async def type_into_it():
        listening, port = bind_unused_port()
        pages = tornado.web.Application([("/websocket/terminal", handler, {"term_manager": terminals})])
        server = tornado.httpserver.HTTPServer(pages)
        server.add_socket(listening)
        page = await websocket_connect(f"ws://127.0.0.1:{port}/websocket/terminal?term_name=tty")
        messages = [json.loads(await page.read_message() or "")]
        await page.write_message(json.dumps({"command": ["stdin", "ls"]}))
        messages.append(json.loads(await page.read_message() or ""))
        page.close()
        server.stop()
        await server.close_all_connections()
        return messages

    messages = asyncio.run(type_into_it())
    assert messages == [["setup", {}], ["stdout", "ls\nUnauthorized access to the terminal."]]
    assert terminals.terminals == {}


def test_pages_are_started_with_it():
    assert START[-3:] == ["-m", "launchers.mage.mage_patches", "start"]
