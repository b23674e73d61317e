"""The JSON sidecar that describes a fetched file; a file without a matching sidecar is not trusted."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nyc_taxi import files


@dataclass(frozen=True)
class Sidecar:
    """A verified file: its origin, its version, and how to recognise it on disk."""

    url: str
    etag: str | None
    last_modified: str | None
    size: int
    mtime_ns: int
    sha256: str
    fetched_at: str
    """UTC, ISO 8601."""

    @classmethod
    def of(cls, path: Path, url: str, etag: str | None = None, last_modified: str | None = None) -> Self:
        """Hash a file."""
        stat = path.stat()
        sha256 = files.digest(path, "sha256")
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        return cls(url, etag, last_modified, stat.st_size, stat.st_mtime_ns, sha256, now)

    @classmethod
    def read(cls, at: Path) -> Self | None:
        """Read the sidecar at `at`; None if it is missing or of another package version."""
        try:
            return cls(**json.loads(at.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    @classmethod
    def trusted(cls, at: Path, path: Path, url: str) -> Self | None:
        """Read the sidecar at `at` if it describes the current file at `path`, fetched from `url`.

        Equal size and mtime mean the same file. If only the mtime differs, the checksum decides, because
        the workspace may have been copied.
        """
        known = cls.read(at)
        if known is None or not path.exists():
            return None
        stat = path.stat()
        if (known.url, known.size) != (url, stat.st_size):
            return None
        if known.mtime_ns == stat.st_mtime_ns:
            return known
        if known.sha256 != files.digest(path, "sha256"):
            return None
        known = dataclasses.replace(known, mtime_ns=stat.st_mtime_ns)
        known.save(at)
        return known

    def save(self, at: Path) -> None:
        """Write the sidecar atomically."""
        files.write(at, json.dumps(dataclasses.asdict(self), indent=2) + "\n")
