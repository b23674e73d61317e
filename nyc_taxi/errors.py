"""Every expected error: one sentence that names the cause and says what to do.

`Transient` errors are worth another attempt (a reset connection, a busy server); all others are
permanent and retrying them only costs time. `nyc_taxi.retry` decides by these types alone.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SECRETS = re.compile(
    r"""(?<=://)[^/\s@]+@                        # user and password of a URL
    | \?[\w.%-]+=[^\s'")>]*                    # its query: signatures, upload ids
    | (?<=\bpassword=)('[^']*'|[^\s'"]+)        # of a connection string
    """,
    re.VERBOSE,
)


_LONGEST = 500
"""Characters; a proxy may answer with a page."""


def one_line(error: object) -> str:
    """What a library says, for a message: without line breaks, final full stop, and credentials of URLs."""
    text = _SECRETS.sub("", " ".join(str(error).split()))
    return text.rstrip(".")[:_LONGEST] or type(error).__name__


class TaxiError(Exception):
    """Base of all expected errors; its text is shown to users unchanged."""


class Transient:
    """Mix-in: the same call may succeed later."""

    retry_after: float | None = None
    """Seconds that the server asks clients to wait, if it says so."""


class SettingsError(TaxiError):
    """A setting is missing or not valid."""


class SourceError(TaxiError):
    """The source cannot provide the month."""


class NotPublished(SourceError):
    """The month does not exist (yet): the source answered 403 or 404."""


class SourceUnreachable(SourceError, Transient):
    """No answer from the source: no network, refused, timed out, or 5xx/429 for too long."""


class NotTripData(SourceError):
    """The download is not a trip file: an error page, a pointer, a truncated or damaged file."""


class Implausible(SourceError):
    """The month looks like another month, or like part of one; `--accept` loads it anyway."""


class NotInLake(TaxiError):
    """The lake does not hold the file or version, or no longer does."""


class LocalFileLost(TaxiError, Transient):
    """A file of this machine disappeared while it was in use; another attempt recreates or fetches it."""


class SchemaError(TaxiError):
    """The file's or the table's columns do not fit the canonical schema."""


class RuleError(TaxiError):
    """A rule does not compile, names no column, or finds most rows of a month alike."""


class TransformError(TaxiError):
    """A transform cannot be read, fails, or returns something other than its trips with columns added."""


class DestinationError(TaxiError):
    """A destination refused the month; the month is as it was, or counts as not recorded (GCS, S3)."""


class DestinationUnreachable(DestinationError, Transient):
    """A destination did not answer or closed the connection; the month is as for DestinationError."""


class PreconditionFailed(DestinationUnreachable):
    """Another writer was faster, or bytes were corrupted in transit: read the state again and start over."""


class LockTimeout(DestinationUnreachable):
    """Other sessions held a lock for longer than a load waits; try again later."""


@contextmanager
def wrap_os_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError into one sentence that names the file and what to do."""
    try:
        yield
    except FileNotFoundError as error:
        raise LocalFileLost(f"{error.filename or folder}: no longer exists; run the month again.") from error
    except OSError as error:
        raise TaxiError(
            f"{error.filename or folder}: cannot be read or written ({error.strerror or error});"
            " check permissions and free space, or set TAXI_WORKSPACE."
        ) from error
