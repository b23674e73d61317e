"""The expected errors. Each message is one sentence that names the cause and the remedy.

`Transient` errors are retried (a reset connection, a busy server); all others are permanent.
`nyc_taxi.retry` decides by these types alone.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SECRETS = re.compile(
    r"""(?<=://)[^/\s@]+@                        # user and password of a URL
    | \?[\w.%-]+=[^\s'")>]*                    # query of a URL: signatures, upload ids
    | (?<=\bpassword=)('[^']*'|[^\s'"]+)        # password of a connection string
    """,
    re.VERBOSE,
)


_MAX_LENGTH = 500
"""Maximum length of a library's message, in characters: a proxy may return a whole HTML page."""


def one_line(error: object) -> str:
    """Return a library's error text on one line, without its final full stop and without credentials."""
    text = _SECRETS.sub("", " ".join(str(error).split()))
    return text.rstrip(".")[:_MAX_LENGTH] or type(error).__name__


def first_line(error: object) -> str:
    """Return the first line of a library's error text as `one_line` does; the rest quotes its input."""
    return one_line(str(error).strip().partition("\n")[0] or error)


class TaxiError(Exception):
    """Base of all expected errors; users see its text unchanged."""


class Transient:
    """Mix-in: the same call may succeed later."""

    retry_after: float | None = None
    """Seconds from the server's Retry-After header, if it sent one."""


class QueryTimeout(TaxiError):
    """A user's query took longer than `--timeout` allows."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the query took longer than {seconds:g} s: raise --timeout, or ask for less.")


class SettingsError(TaxiError):
    """A setting is missing or invalid."""


class SourceError(TaxiError):
    """The source cannot provide the month."""


class NotPublished(SourceError):
    """The month does not exist (yet): the source answered 403 or 404."""


class SourceUnreachable(SourceError, Transient):
    """The source did not respond (no network, connection refused, timeout) or kept returning 429 or 5xx."""


class NotTripData(SourceError):
    """The download is not a trip file: an error page, a git LFS pointer, a truncated or damaged file."""


class Implausible(SourceError):
    """The file looks like another month, or like part of one; `--accept` loads it anyway."""


class NotInLake(TaxiError):
    """The lake does not, or no longer, hold the file or version."""


class LocalFileLost(TaxiError, Transient):
    """A local file disappeared while in use; another attempt recreates it or fetches it again."""


class SchemaError(TaxiError):
    """The columns of a file or table do not match the canonical schema."""


class RuleError(TaxiError):
    """A rule does not compile, names no column, or matches most rows of a month."""


class TransformError(TaxiError):
    """A transform cannot be read, fails, or returns anything but its trips with columns added."""


class DestinationError(TaxiError):
    """A destination refused the month; its old version stays, or the month is not recorded (GCS, S3)."""


class DestinationUnreachable(DestinationError, Transient):
    """A destination did not respond or closed the connection; the month stays as for DestinationError."""


class PreconditionFailed(DestinationUnreachable):
    """Another writer was faster, or bytes were corrupted in transit: read the state again and restart."""


class LockTimeout(DestinationUnreachable):
    """Other sessions held a lock longer than a load waits for it; try again later."""


@contextmanager
def wrap_os_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError into a TaxiError that names the file and the remedy."""
    try:
        yield
    except FileNotFoundError as error:
        raise LocalFileLost(f"{error.filename or folder}: no longer exists; run the month again.") from error
    except OSError as error:
        raise TaxiError(
            f"{error.filename or folder}: cannot be read or written ({error.strerror or error});"
            " check permissions and free space, or set TAXI_WORKSPACE."
        ) from error
