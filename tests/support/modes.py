"""What other users of the machine may do with files."""

from __future__ import annotations

import stat
from pathlib import Path


def accessible(folder: Path, mode: int) -> list[str]:
    """The files below a folder that other users reach and that have one of these bits, by name.

    The modes of the folder's parents do not count.
    """
    if folder.stat().st_mode & stat.S_IXOTH == 0:
        return []
    files = []
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            files += accessible(path, mode)
        elif path.lstat().st_mode & mode and not path.is_symlink():
            files.append(path.name)
    return files


def readable_by_others(folder: Path) -> list[str]:
    """The files below a folder that other users may read."""
    return accessible(folder, stat.S_IROTH)
