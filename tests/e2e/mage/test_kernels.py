"""The editor's kernel and its children end with Mage, whatever they do and however Mage ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from nyc_taxi.settings import PROJECT
from tests.support.waiting import until

STARTER = """
import sys, time
from launchers.mage.kernels import patch_kernels
from mage_ai.server.kernels import kernel_managers

patch_kernels()
manager = kernel_managers["python3"]
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=120)
client.execute(sys.argv[1])
time.sleep(600)
"""

BLOCK = """
import os, re, time
from pathlib import Path
if not (child := os.fork()):
    time.sleep(600)
Path({file!r}).write_text(f"{{os.getpid()}} {{child}}\\n")
re.match("(a+)+$", "a" * 64 + "b")  # for ever, and no other thread of the process runs
"""


@pytest.mark.mage
def test_a_killed_mage_leaves_no_process_of_its_kernel(tmp_path: Path) -> None:
    file = tmp_path / "processes"
    command = [sys.executable, "-c", STARTER, BLOCK.format(file=str(file))]
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=PROJECT, env=environment) as mage:
        try:
            numbers = until(lambda: file.exists() and file.read_text().endswith("\n"), 180)
            numbers = [int(number) for number in file.read_text().split()]
        finally:
            mage.kill()
    try:
        until(lambda: not any(map(is_at_work, numbers)))
    finally:
        for number in filter(is_at_work, numbers):
            psutil.Process(number).kill()


def is_at_work(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
