"""Every error a person may meet: one sentence that names the thing and says what to do.

`Transient` errors are worth another try (a reset connection, a busy server); all others are
terminal and retrying them only costs time.
"""


class TaxiError(Exception):
    """Base of all expected errors; its text is shown to people as it is."""


class Transient:
    """Mix-in: the same call may succeed later."""


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


class SchemaError(TaxiError):
    """The file's or the table's columns do not fit the canonical schema."""


class RuleError(TaxiError):
    """A rule does not compile or names no column."""


class DestinationError(TaxiError):
    """A destination refused the month; the month is as it was, or counts as not recorded (GCS, S3)."""


class DestinationUnreachable(DestinationError, Transient):
    """A destination did not answer, or broke off; the month is as for DestinationError."""
