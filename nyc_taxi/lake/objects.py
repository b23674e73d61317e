"""Single objects of a lake: stored once, downloaded atomically."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterable
from pathlib import Path

from nyc_taxi.errors import NotInLake, PreconditionFailed
from nyc_taxi.lake.folder_store import FolderStore, is_intact
from nyc_taxi.lake.object_store.store import Content, Store, Stored


def put_once(store: Store, key: str, content: Content) -> Stored:
    """Store an object whose key identifies its content, unless it already exists."""
    before = store.head(key)
    if before is not None and before.size == content.size:
        return before
    try:
        tag = before.tag if before else None
        return store.put(key, content, {"sha256": content.sha256}, tag, lambda _: None)
    except PreconditionFailed:
        current = store.head(key)
        if current is None or current.size != content.size:
            raise
        return current  # another worker was faster


def holds(store: Store, key: str, size: int, sha256: str) -> bool:
    """Return whether an object has these bytes; reads the whole object."""
    stored = store.head(key)
    if stored is None or stored.size != size:
        return False
    with tempfile.TemporaryDirectory(prefix="nyc-taxi-") as folder:
        return download(store, key, Path(folder) / "object", size, sha256)


def not_held(owner: str, prefix: str, held: Iterable[str]) -> NotInLake:
    """Return the error for a missing file of a month or lookup, of which the lake holds these SHA-256s."""
    known = ", ".join(sha256[:12] for sha256 in held)
    if not known:
        return NotInLake(f"the lake holds no file of {owner}: load it from another source.")
    missing = f"whose SHA-256 begins with {prefix}" if prefix else "that can be read"
    return NotInLake(
        f"the lake holds no file of {owner} {missing}, only {known}: name one of these as lake:PREFIX,"
        " or load it from another source."
    )


def remove_folder(store: Store, folder: str, names: Iterable[str]) -> None:
    """Remove objects of a folder in the given order, and the rest of a local folder."""
    for name in names:
        if stored := store.head(folder + name):
            store.delete(folder + name, stored.tag)
    if isinstance(store, FolderStore):
        shutil.rmtree(store.path(folder), ignore_errors=True)


def download(store: Store, key: str, path: Path, size: int, sha256: str) -> bool:
    """Download an object to `path`; returns False if the store does not hold these bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        if not store.download(key, part) or not is_intact(part, size, sha256):
            return False
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return True
