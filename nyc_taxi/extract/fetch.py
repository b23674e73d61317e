"""A month from its source into the workspace: one verified file and the reference to it."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from nyc_taxi.errors import NotPublished, NotTripData, SourceError, SourceUnreachable
from nyc_taxi.extract import files
from nyc_taxi.extract.candidates import Candidate, LocalFile, Sample, WebFile
from nyc_taxi.extract.formats import detect_format, verify
from nyc_taxi.extract.sidecar import Sidecar
from nyc_taxi.extract.sources import Source, names_other
from nyc_taxi.extract.transfer import Part, Progress, transfer
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import SourceFile
from nyc_taxi.retry import RetryPolicy

log = logging.getLogger(__name__)

Down = dict[str, SourceUnreachable]
"""Hosts that did not answer in this call, and are not asked for further names."""


def fetch(
    service: Service, month: Month, source: Source, workspace: Path, progress: Progress | None = None
) -> SourceFile:
    """Bring the month's current version into the workspace, or find that it is there already.

    A download lies at `<workspace>/source/<service>/<month>/<name>`, with what it is in
    `<name>.json`; a local file stays where it is, and only that note on it is kept there. When the
    source cannot be reached a file fetched earlier is used, with a warning. A later place of the
    source is turned to when an earlier one does not have the month or cannot be reached.

    Raises NotPublished, SourceUnreachable, NotTripData, SourceError; no file is left half-written,
    and what has arrived is resumed by the next call. Several processes may ask for the same month.
    """
    folder = _folder(workspace, service, month)
    failed: SourceError | None = None
    down: Down = {}
    for place in source.candidates(service, month):
        if source.any_name and (other := names_other(place.name, service, month)):
            raise SourceError(
                f"{place.url}: its name says {other}, not {service} {month}; request that, or rename it."
            )
        try:
            path, about = _bring(place, service, month, folder, progress, down)
        except (NotPublished, SourceUnreachable) as error:
            failed = failed if isinstance(failed, SourceUnreachable) else error
            continue
        except OSError as error:
            raise SourceError(
                f"{error.filename or folder}: cannot be read or written ({error.strerror or error}); "
                "check permissions and free space, or set TAXI_WORKSPACE."
            ) from error
        if isinstance(failed, SourceUnreachable) and not (isinstance(place, WebFile) and place.host in down):
            log.warning("%s Using %s instead.", failed, place.url)
        if progress:
            progress(about.size, about.size)
        file = SourceFile(
            service, month, path.name, about.url, about.sha256, about.size, about.etag, about.last_modified
        )
        return file.at(path)
    if isinstance(failed, SourceUnreachable):
        raise failed
    raise source.missing(service, month) from failed


def fetch_file(source: str, folder: Path, retry: RetryPolicy) -> tuple[Path, str]:
    """Bring a file that is no month, given by path or URL, into `folder`: where it lies, and its SHA-256.

    Raises as `fetch` does.
    """
    try:
        place = WebFile(source, retry) if "://" in source else LocalFile(Path(source).expanduser().resolve())
    except RuntimeError:  # a loop, or the home of a user who does not exist
        raise SourceError(f"{source}: is a loop of links, or below an unknown user's home.") from None
    with files.locked(folder):
        if isinstance(place, WebFile):
            path, about = _download(place, folder, None, {})
        else:
            path, about = place.path, _in_place(place, folder)
    return path, about.sha256


def _folder(workspace: Path, service: Service, month: Month) -> Path:
    return workspace / "source" / str(service) / str(month)


def _bring(
    place: Candidate, service: Service, month: Month, folder: Path, progress: Progress | None, down: Down
) -> tuple[Path, Sidecar]:
    with files.locked(folder):
        match place:
            case WebFile():
                return _download(place, folder, progress, down)
            case LocalFile():
                return place.path, _in_place(place, folder)
            case Sample():
                return _generate(place, service, month, folder)


def _download(file: WebFile, folder: Path, progress: Progress | None, down: Down) -> tuple[Path, Sidecar]:
    target = folder / file.name
    known = Sidecar.trusted(_note(target), target, file.url)
    part = Part(target)
    try:
        if file.host in down:
            raise down[file.host]
        version = transfer(file, part, known, progress)
    except SourceUnreachable as error:
        down[file.host] = error
        if known is None:
            raise
        log.warning("%s Using the file fetched at %s.", error, known.fetched_at)
        return target, known
    if version is None:
        assert known  # nothing else can be unchanged
        return target, known
    try:
        verify(part.path, file.url)
    except NotTripData:
        part.discard()
        raise
    about = _install(part.path, target, version.url, version.etag, version.last_modified)
    part.discard()
    return target, about


def _in_place(file: LocalFile, folder: Path) -> Sidecar:
    published = file.published()
    note = folder / f"{file.name}.in-place.json"
    known = Sidecar.trusted(note, file.path, file.url)
    if known and known.last_modified != published.last_modified:  # the same bytes under another date
        known = dataclasses.replace(known, last_modified=published.last_modified)
        known.save(note)
    if known:
        return known
    detect_format(file.path, file.url)  # cheap, unlike a checksum
    about = Sidecar.of(file.path, file.url, last_modified=published.last_modified)
    verify(file.path, file.url)
    after = file.path.stat()
    if (after.st_size, after.st_mtime_ns) != (about.size, about.mtime_ns):
        raise SourceUnreachable(f"{file.path}: is being written; try again when it is complete.")
    about.save(note)
    return about


def _generate(sample: Sample, service: Service, month: Month, folder: Path) -> tuple[Path, Sidecar]:
    from nyc_taxi.local import samples

    target, published = folder / sample.name, sample.published()
    known = Sidecar.trusted(_note(target), target, sample.url)
    if known and known.etag == published.etag:
        return target, known
    temporary = target.with_name(f"part-{target.name}")  # keeps the ending, which decides the format
    try:
        samples.write(service, month, temporary, rows=sample.rows, seed=sample.seed)
        return target, _install(temporary, target, sample.url, published.etag, None)
    finally:
        temporary.unlink(missing_ok=True)


def _note(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _install(temporary: Path, target: Path, url: str, etag: str | None, last_modified: str | None) -> Sidecar:
    about = Sidecar.of(temporary, url, etag, last_modified)
    files.replace(temporary, target)
    about.save(_note(target))
    return about
