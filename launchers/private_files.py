"""Folders and files that only their owner may enter or read, whatever the umask."""

from __future__ import annotations

import os
from pathlib import Path


def private_folder(folder: Path) -> Path:
    """Create a folder for its owner alone, or take an existing one of this user away from others.

    Raises OSError if it cannot be created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid == os.geteuid():  # in a container it may be a volume of another user
        folder.chmod(0o700)
    return folder


def private_file(file: Path) -> Path:
    """Create an empty file for its owner alone, or take an existing one of this user away from others."""
    file.touch(0o600)
    if file.stat().st_uid == os.geteuid():
        file.chmod(0o600)
    return file
