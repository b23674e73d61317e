"""The preconditions of writes to a bucket, by which concurrent loads are kept apart."""

from __future__ import annotations

from collections.abc import Callable

from nyc_taxi.errors import PreconditionFailed
from nyc_taxi.lake.object_store.gcs.upload import PART_BYTES
from nyc_taxi.lake.object_store.store import Bucket, Content
from tests.e2e.cloud.steps import StepFailed, Steps


def take_preconditions(steps: Steps, store: Callable[[], Bucket]) -> None:
    """A step for each way to write."""
    steps.take("preconditions of single writes", lambda: _writes(store(), "single", 1000))
    # in two parts of GCS, which are the larger ones
    steps.take("preconditions of writes in parts", lambda: _writes(store(), "parts", PART_BYTES + 1000))
    steps.take("preconditions of copies", lambda: _copies(store()))


def _writes(store: Bucket, key: str, size: int) -> str:
    def write(data: bytes, tag: str | None) -> str:
        return store.put(f"preconditions/{key}", Content.of(data, "text/plain"), {}, tag, lambda _: None).tag

    first = write(b"1" * size, None)
    _refused("that there is no object", lambda: write(b"2" * size, None))
    second = write(b"3" * size, first)
    _refused("that the object is an older one", lambda: write(b"4" * size, first))
    stored = store.read(f"preconditions/{key}")
    if stored is None or stored != (b"3" * size, second):
        raise StepFailed("the object is not as the last permitted write left it")
    return "kept"


def _copies(store: Bucket) -> str:
    content = Content.of(b"1" * 1000, "text/plain")
    for name in ("source", "source-2"):
        store.put(f"preconditions/{name}", content, {}, None, lambda _: None)
    store.copy("preconditions/source", "preconditions/copy", None)
    _refused(
        "that there is no object", lambda: store.copy("preconditions/source-2", "preconditions/copy", None)
    )
    held = store.head("preconditions/copy")
    if held is None:
        raise StepFailed("the copy does not exist")
    store.put("preconditions/copy", Content.of(b"2" * 10, "text/plain"), {}, held.tag, lambda _: None)
    _refused(
        "that the object is an older one",
        lambda: store.copy("preconditions/source-2", "preconditions/copy", held.tag),
    )
    return "kept"


def _refused(condition: str, write: Callable[[], object]) -> None:
    try:
        write()
    except PreconditionFailed:
        return
    raise StepFailed(f"the service ignores the condition {condition}")
