"""Folders and files that only their owner can access, regardless of the umask."""

from __future__ import annotations

import os
from pathlib import Path


def private_folder(folder: Path) -> Path:
    """Create a private folder, or make this user's existing folder private.

    Raises OSError if it cannot be created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid == os.geteuid():  # in a container it may be another user's volume
        folder.chmod(0o700)
    return folder


def private_file(file: Path) -> Path:
    """Create an empty private file, or make this user's existing file private."""
    file.touch(0o600)
    if file.stat().st_uid == os.geteuid():
        file.chmod(0o600)
    return file
