"""Fetch a month from its source into the workspace, as one verified file and its reference."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from nyc_taxi import files
from nyc_taxi.errors import NotPublished, NotTripData, SourceError, SourceUnreachable
from nyc_taxi.extract.candidates import Candidate, LocalFile, Sample, WebFile
from nyc_taxi.extract.formats import detect_format, verify
from nyc_taxi.extract.sidecar import Sidecar
from nyc_taxi.extract.sources import Source, names_other
from nyc_taxi.extract.transfer import Part, Progress, transfer
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import SourceFile
from nyc_taxi.retry import RetryPolicy

log = logging.getLogger(__name__)

Unreachable = dict[str, SourceUnreachable]
"""Hosts that did not respond during this call and are not tried again, with their errors."""


def fetch(
    service: Service, month: Month, source: Source, workspace: Path, progress: Progress | None = None
) -> SourceFile:
    """Fetch the month's current version into the workspace unless it is already there.

    Downloads are stored as `<workspace>/source/<service>/<month>/<name>` with a sidecar `<name>.json`.
    A local file stays in place; only its sidecar is stored there. If the source is unreachable, a
    previous download is used, with a warning. The source's candidates are tried in order until one
    provides the month.

    Raises NotPublished, SourceUnreachable, NotTripData, SourceError. Files are never left half-written;
    the next call resumes a partial download. Several processes may fetch the same month at once.
    """
    folder = _folder(workspace, service, month)
    failed: SourceError | None = None
    unreachable: Unreachable = {}
    for candidate in source.candidates(service, month):
        if source.any_name and (other := names_other(candidate.name, service, month)):
            raise SourceError(
                f"{candidate.url}: its name says {other}, not {service} {month}; request that, or rename it."
            )
        try:
            path, sidecar = _fetch_candidate(candidate, service, month, folder, progress, unreachable)
        except (NotPublished, SourceUnreachable) as error:
            failed = failed if isinstance(failed, SourceUnreachable) else error
            continue
        except OSError as error:
            raise SourceError(
                f"{error.filename or folder}: cannot be read or written ({error.strerror or error}); "
                "check permissions and free space, or set TAXI_WORKSPACE."
            ) from error
        if isinstance(failed, SourceUnreachable) and not (
            isinstance(candidate, WebFile) and candidate.host in unreachable
        ):
            log.warning("%s Using %s instead.", failed, candidate.url)
        if progress:
            progress(sidecar.size, sidecar.size)
        file = SourceFile(
            service,
            month,
            path.name,
            sidecar.url,
            sidecar.sha256,
            sidecar.size,
            sidecar.etag,
            sidecar.last_modified,
        )
        return file.at(path)
    if isinstance(failed, SourceUnreachable):
        raise failed
    raise source.missing(service, month) from failed


def fetch_file(source: str, folder: Path, retry: RetryPolicy) -> tuple[Path, Sidecar]:
    """Fetch a file other than a month, by path or URL, into `folder`; returns its path and what it is.

    Raises as `fetch` does.
    """
    try:
        candidate = (
            WebFile(source, retry) if "://" in source else LocalFile(Path(source).expanduser().resolve())
        )
    except RuntimeError:  # a loop, or the home of a user who does not exist
        raise SourceError(f"{source}: is a loop of links, or below an unknown user's home.") from None
    with files.locked(folder):
        if isinstance(candidate, WebFile):
            path, sidecar = _download(candidate, folder, None, {})
        else:
            path, sidecar = candidate.path, _in_place(candidate, folder)
    return path, sidecar


def _folder(workspace: Path, service: Service, month: Month) -> Path:
    return workspace / "source" / str(service) / str(month)


def _fetch_candidate(
    candidate: Candidate,
    service: Service,
    month: Month,
    folder: Path,
    progress: Progress | None,
    unreachable: Unreachable,
) -> tuple[Path, Sidecar]:
    with files.locked(folder):
        match candidate:
            case WebFile():
                return _download(candidate, folder, progress, unreachable)
            case LocalFile():
                return candidate.path, _in_place(candidate, folder)
            case Sample():
                return _generate(candidate, service, month, folder)


def _download(
    file: WebFile, folder: Path, progress: Progress | None, unreachable: Unreachable
) -> tuple[Path, Sidecar]:
    target = folder / file.name
    known = Sidecar.trusted(_sidecar_path(target), target, file.url)
    part = Part(target)
    try:
        if file.host in unreachable:
            raise unreachable[file.host]
        version = transfer(file, part, known, progress)
    except SourceUnreachable as error:
        unreachable[file.host] = error
        if known is None:
            raise
        log.warning("%s Using the file fetched at %s.", error, known.fetched_at)
        return target, known
    if version is None:
        assert known  # only a known version can be unchanged
        return target, known
    try:
        verify(part.path, file.url)
    except NotTripData:
        part.discard()
        raise
    sidecar = _install(part.path, target, version.url, version.etag, version.last_modified)
    part.discard()
    return target, sidecar


def _in_place(file: LocalFile, folder: Path) -> Sidecar:
    published = file.published()
    record = folder / f"{file.name}.in-place.json"
    known = Sidecar.trusted(record, file.path, file.url)
    if known and known.last_modified != published.last_modified:  # same bytes, new date
        known = dataclasses.replace(known, last_modified=published.last_modified)
        known.save(record)
    if known:
        return known
    detect_format(file.path, file.url)  # cheap, unlike a checksum
    sidecar = Sidecar.of(file.path, file.url, last_modified=published.last_modified)
    verify(file.path, file.url)
    after = file.path.stat()
    if (after.st_size, after.st_mtime_ns) != (sidecar.size, sidecar.mtime_ns):
        raise SourceUnreachable(f"{file.path}: is being written; try again when it is complete.")
    sidecar.save(record)
    return sidecar


def _generate(sample: Sample, service: Service, month: Month, folder: Path) -> tuple[Path, Sidecar]:
    from nyc_taxi.local import samples

    target, published = folder / sample.name, sample.published()
    known = Sidecar.trusted(_sidecar_path(target), target, sample.url)
    if known and known.etag == published.etag:
        return target, known
    temporary = target.with_name(f"part-{target.name}")  # keeps the suffix, which selects the format
    try:
        samples.write(service, month, temporary, rows=sample.rows, seed=sample.seed)
        return target, _install(temporary, target, sample.url, published.etag, None)
    finally:
        temporary.unlink(missing_ok=True)


def _sidecar_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _install(temporary: Path, target: Path, url: str, etag: str | None, last_modified: str | None) -> Sidecar:
    sidecar = Sidecar.of(temporary, url, etag, last_modified)
    files.replace(temporary, target)
    sidecar.save(_sidecar_path(target))
    return sidecar
