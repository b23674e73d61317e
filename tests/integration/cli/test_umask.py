"""Whatever the umask, nobody else writes what the pipeline creates."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from nyc_taxi.settings import PROJECT


def test_others_write_nothing_that_a_run_creates_without_a_umask(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    command = [str(Path(sys.executable).with_name("taxi")), "run", "green", "2020-04"]
    done = subprocess.run(
        [*command, "--source", "sample:100:1", "--to", "duckdb,gcs"],
        cwd=PROJECT,
        env={"TAXI_WORKSPACE": str(workspace), "PATH": os.environ["PATH"]},
        umask=0,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        paths = [workspace, *workspace.rglob("*")]
        assert len(paths) > 10
        writable = [path for path in paths if path.lstat().st_mode & (stat.S_IWOTH | stat.S_IWGRP)]
        assert [path for path in writable if not path.is_symlink()] == []
    finally:
        subprocess.run([command[0], "stop"], cwd=PROJECT, env={"TAXI_WORKSPACE": str(workspace)}, check=False)
