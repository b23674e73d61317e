"""Locks between processes: other users of the machine cannot hold them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from launchers.instance_lock import instance_lock
from nyc_taxi import files
from nyc_taxi.errors import SettingsError
from nyc_taxi.local import process


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


each_lock = pytest.mark.parametrize(
    ("hold", "name"),
    [
        (files.locked, ".lock"),
        (process.locked, "lock"),
        (process.life, "alive"),
        (lambda folder: instance_lock(folder, 6789), "ui.lock"),
    ],
)


@each_lock
@pytest.mark.parametrize("exists", [False, True])
def test_others_cannot_open_the_file_of_a_lock(
    tmp_path: Path, hold: Callable[[Path], AbstractContextManager[object]], name: str, exists: bool
) -> None:
    if exists:  # as an earlier version made it
        (tmp_path / name).touch(0o644)
    with hold(tmp_path):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) & 0o007 == 0


@each_lock
def test_a_link_in_place_of_a_lock_changes_no_other_file(
    tmp_path: Path, hold: Callable[[Path], AbstractContextManager[object]], name: str
) -> None:
    """Another user may plant it where he may write."""
    (tmp_path / "other").write_text("other")
    (tmp_path / "other").chmod(0o644)
    (tmp_path / name).symlink_to("other")
    with pytest.raises((OSError, SettingsError)), hold(tmp_path):
        pass
    assert (tmp_path / "other").read_text() == "other"
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o644
