"""Writing a month's objects: each overwrites only what has been read, and the manifest comes last."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping

from nyc_taxi.errors import PreconditionFailed
from nyc_taxi.lake.layout import version_folder
from nyc_taxi.lake.object_store.store import Bucket, Content, Sent, Stored
from nyc_taxi.load.object_store.contents import SentRows
from nyc_taxi.load.object_store.held import HeldMonth
from nyc_taxi.load.object_store.layout import data_key, history_key, manifest_key
from nyc_taxi.load.object_store.manifest import Manifest, marks
from nyc_taxi.model.references import CleanMonth, LakeObject
from nyc_taxi.model.run import Run

log = logging.getLogger(__name__)


class MonthWriter:
    """Writes months into a store; raises PreconditionFailed where another writer was faster."""

    def __init__(self, store: Bucket) -> None:
        self._store = store

    def replace(
        self,
        held: HeldMonth,
        month: CleanMonth,
        run: Run,
        started: dt.datetime,
        contents: Mapping[str, Content | LakeObject],
        count: SentRows,
        again: bool,
    ) -> Manifest:
        """Replace the objects of a month that differ from `contents`, then its manifest, which is returned.

        `again`: replace all of them, whether they differ or not. A load that follows a deletion always does,
        as the deletion may still be removing objects; raises PreconditionFailed if it has removed a new one.
        """
        again = again or held.deletion is not None
        done = 0
        for kind, content in contents.items():
            key, before, sent = (
                data_key(kind, month.service, month.month),
                held.objects[kind],
                count.above(done),
            )
            if isinstance(content, Content):
                self.bring(key, content, month.version, before, sent, again)
            else:
                self._copy(key, kind, content, month, before, again)
                sent(content.size)
            done += content.size
        manifest = Manifest.make(month, run, started, contents)
        key = manifest_key(month.service, month.month)
        self.put(key, manifest.content(), month.version, held.manifest_tag)
        if held.deletion and HeldMonth.read(self._store, month.service, month.month).row is None:
            raise PreconditionFailed(f"{month} was deleted while it was loaded; run the month again.")
        return manifest

    def _copy(
        self, key: str, kind: str, known: LakeObject, month: CleanMonth, before: Stored | None, again: bool
    ) -> None:
        """Copy the version's object, with its metadata, unless the copy exists. `again`: in any case."""
        expected = marks(month.version, known.sha256).items()
        if not again and before and expected <= before.metadata.items() and before.size == known.size:
            log.info("%s is already up to date.", key)
            return
        source = f"{version_folder(month.service, month.month, month.version)}{kind}.parquet"
        self._store.copy(source, key, before.tag if before else None)

    def bring(
        self,
        key: str,
        content: Content,
        version: str,
        before: Stored | None,
        sent: Sent,
        again: bool = False,
    ) -> None:
        """Upload the object, unless an unfinished load has already uploaded it. `again`: in any case."""
        expected = marks(version, content.sha256).items()
        if (
            not again
            and before
            and expected <= before.metadata.items()
            and before.size == content.size  # an emulator's disk may lose what its digest describes
            and before.digest == self._store.digest(content)
        ):
            log.info("%s is already up to date.", key)
            sent(content.size)
        else:
            self.put(key, content, version, before.tag if before else None, sent)

    def put(
        self, key: str, content: Content, version: str, tag: str | None, sent: Sent = lambda _: None
    ) -> Stored:
        """Write one object; `tag` as for Store."""
        return self._store.put(key, content, marks(version, content.sha256), tag, sent)

    def keep(self, manifest: Manifest) -> None:
        """Add the load or deletion to the ledger's history, where it is missing."""
        key = history_key(manifest.entry)
        if not self._store.head(key):
            self.put(key, manifest.content(), manifest.entry.version, None)
