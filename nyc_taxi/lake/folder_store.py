"""The store of a local lake: a folder on this machine; files are hard-linked rather than copied."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from nyc_taxi.errors import PreconditionFailed
from nyc_taxi.files import digest, locked, replacing
from nyc_taxi.lake.object_store.store import Content, Sent, Stored


class FolderStore:
    """The Store protocol over a local folder; it keeps no metadata and no checksums."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, key: str) -> Path:
        """Return the path of an object's file."""
        return self._folder / key

    def head(self, key: str) -> Stored | None:
        """See Store."""
        try:
            stat = self.path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Stored(f"{stat.st_ino}-{stat.st_mtime_ns}", stat.st_size, None, {})

    def read(self, key: str) -> tuple[bytes, str] | None:
        """See Store."""
        stored = self.head(key)
        try:
            return (self.path(key).read_bytes(), stored.tag) if stored else None
        except FileNotFoundError:
            return None

    def download(self, key: str, path: Path) -> bool:
        """See Store; the file may share its bytes with the object."""
        try:
            link_or_copy(self.path(key), path)
        except FileNotFoundError:
            return False
        return True

    def put(
        self, key: str, content: Content, metadata: Mapping[str, str], tag: str | None, sent: Sent
    ) -> Stored:
        """See Store. Hard-links the file if the file system supports it."""
        target = self.path(key)
        with locked(target.parent):
            self._check(key, tag)
            with replacing(target) as part:
                if isinstance(content.data, bytes):
                    part.write_bytes(content.data)
                else:
                    link_or_copy(content.data, part)
        sent(content.size)
        stored = self.head(key)
        assert stored is not None
        return stored

    def delete(self, key: str, tag: str) -> None:
        """See Store."""
        with locked(self.path(key).parent):
            if self.head(key) is not None:
                self._check(key, tag)
                self.path(key).unlink(missing_ok=True)

    def digest(self, content: Content) -> str:
        """The SHA-256."""
        return content.sha256

    def keys(self, prefix: str) -> list[str]:
        """See Store."""
        folder = self._folder / prefix.rpartition("/")[0]
        keys = (
            path.relative_to(self._folder).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        )
        return sorted(key for key in keys if key.startswith(prefix))

    def uri(self, key: str) -> str:
        """Return the path relative to the folder, so that the folder can be moved."""
        return key

    def _check(self, key: str, tag: str | None) -> None:
        stored = self.head(key)
        if (stored.tag if stored else None) != tag:
            raise PreconditionFailed(
                f"{self.path(key)}: another run is writing the same month; run it again."
            )


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link `source` to `target`, or copy it if that is not possible."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def is_intact(path: Path, size: int, sha256: str) -> bool:
    """Return whether the file exists and holds these bytes."""
    try:
        return path.stat().st_size == size and digest(path, "sha256") == sha256
    except (FileNotFoundError, NotADirectoryError):
        return False
