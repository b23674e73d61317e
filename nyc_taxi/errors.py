"""Every expected error: one sentence that names the thing at fault and says what to do.

`Transient` errors are worth another attempt (a reset connection, a busy server); all others are
permanent and retrying them only costs time. `nyc_taxi.retry` decides by these types alone.
"""


class TaxiError(Exception):
    """Base of all expected errors; its text is shown to people as it is."""


class Transient:
    """Mix-in: the same call may succeed later."""

    retry_after: float | None = None
    """Seconds that a server asks to wait, where it says so."""


class SettingsError(TaxiError):
    """A setting is missing or makes no sense."""


class SourceError(TaxiError):
    """The source cannot give the month."""


class NotPublished(SourceError):
    """The month is not there (yet): the source answered 403 or 404."""


class SourceUnreachable(SourceError, Transient):
    """No answer from the source: no network, refused, timed out, or 5xx/429 for too long."""


class NotTripData(SourceError):
    """What came is not a trip file: an error page, a cut file, a pointer, a mangled file."""


class Implausible(SourceError):
    """The month is not what its name says, or only a part of it; `--accept` loads it all the same."""


class NotInLake(TaxiError):
    """The lake does not hold the file or version (any more)."""


class LocalFileLost(TaxiError, Transient):
    """A file of this machine disappeared while it was in use; another attempt makes or fetches it again."""


class SchemaError(TaxiError):
    """The file's or the table's columns do not fit the canonical schema."""


class RuleError(TaxiError):
    """A rule does not compile or names no column."""


class TransformError(TaxiError):
    """A transform cannot be read, fails, or returns something other than its trips with columns added."""


class DestinationError(TaxiError):
    """A destination refused the month; the month is as it was, or counts as not recorded (GCS, S3)."""


class DestinationUnreachable(DestinationError, Transient):
    """A destination did not answer, or broke off; the month is as for DestinationError."""


class PreconditionFailed(DestinationUnreachable):
    """Another writer was faster, or the bytes arrived damaged: read the month's state and start again."""


class LockTimeout(DestinationUnreachable):
    """Others have held a lock for longer than a load waits; try again later."""
