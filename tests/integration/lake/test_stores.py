"""What buckets promise of copies: only who knows the object that is there replaces it."""

from __future__ import annotations

import pytest

from nyc_taxi.errors import PreconditionFailed
from nyc_taxi.lake.object_store.gcs.store import GcsStore
from nyc_taxi.lake.object_store.store import Content, Store, Stored
from tests.support.clouds import gcs_cloud


def put(store: Store, key: str, text: str, tag: str | None = None) -> Stored:
    return store.put(key, Content.of(text.encode(), "text/plain"), {}, tag, lambda _: None)


def texts(store: Store, *keys: str) -> list[str | None]:
    read = map(store.read, keys)
    return [each[0].decode() if each else None for each in read]


def test_a_copy_replaces_only_the_object_that_it_names(quick: None) -> None:
    with gcs_cloud() as cloud:  # moto, for S3, copies whatever the conditions
        store = GcsStore(cloud.target())
        put(store, "a/source", "new")
        old = put(store, "b/target", "old")
        other = put(store, "b/target", "other", old.tag)
        for tag in (None, old.tag):
            with pytest.raises(PreconditionFailed):
                store.copy("a/source", "b/target", tag)
        assert texts(store, "b/target") == ["other"]
        store.copy("a/source", "b/target", other.tag)
        store.copy("a/source", "b/another", None)
        assert texts(store, "a/source", "b/target", "b/another") == ["new"] * 3
        with pytest.raises(PreconditionFailed):
            store.copy("a/missing", "b/missing", None)
        assert store.keys("b/") == ["b/another", "b/target"]
