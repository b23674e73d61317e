"""Workers that share nothing: each has a disk of its own and takes tasks from one queue, as Celery's do."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.scale import tasks

TRIES = 4


@dataclass
class Task:
    """A task of a run, with what it is to suffer at its first try."""

    name: str
    values: dict[str, Any]
    kill: str | None = None
    then: Callable[[Any], list[Task]] = lambda _: []
    """The tasks that its result makes ready."""
    tries: int = 0


@dataclass
class Cluster:
    """A queue of tasks, and workers that come and go."""

    folder: Path
    environment: dict[str, str]
    wipe_after: tuple[str, ...] = ("refine",)
    """After such a task a worker loses its disk."""
    kills: int = 0
    wipes: int = 0
    failures: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    """Tasks by worker."""
    _queue: queue.Queue[Task | None] = field(default_factory=queue.Queue)
    _workers: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _finished: int = 0
    _joins: dict[int, str] = field(default_factory=dict)

    def join(self, worker: str, after: int = 0) -> None:
        """A worker joins once so many tasks are done."""
        if self._finished < after:
            self._joins[after] = worker
            return
        self.done[worker] = 0
        thread = threading.Thread(target=self._work, args=(worker,), daemon=True)
        self._workers.append(thread)
        thread.start()

    def run(self, first: list[Task]) -> None:
        """Run tasks, and all that they make ready, to the end."""
        for task in first:
            self._queue.put(task)
        self._queue.join()
        for _ in self._workers:
            self._queue.put(None)
        for thread in self._workers:
            thread.join()

    def _work(self, worker: str) -> None:
        disk = self.folder / worker
        while (task := self._queue.get()) is not None:
            self._try(worker, disk, task)
            self._queue.task_done()

    def _try(self, worker: str, disk: Path, task: Task) -> None:
        disk.mkdir(parents=True, exist_ok=True)
        environment = {**self.environment, "TAXI_WORKSPACE": str(disk)}
        result = tasks.run(task.name, task.values, environment, task.kill if task.tries == 0 else None)
        task.tries += 1
        with self._lock:
            self.done[worker] += 1
            self._finished += 1
            self.kills += result.was_killed
            joining = self._joins.pop(self._finished, None)
        if joining:
            self.join(joining)
        if result.error is None:
            assert str(self.folder) not in str(result.value), f"{task.name} hands on a path: {result.value}"
            if task.name in self.wipe_after:
                shutil.rmtree(disk)
                with self._lock:
                    self.wipes += 1
            for ready in task.then(result.value):
                self._queue.put(ready)
        elif result.is_transient and task.tries < TRIES:
            self._queue.put(task)
        else:
            self.failures.append(f"{task.name} {task.values.get('month', '')}: {result.error}")
