"""Translate errors of boto3 into TaxiErrors with one sentence of cause and remedy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from nyc_taxi.errors import DestinationError, DestinationUnreachable, PreconditionFailed, one_line

_ANOTHER_RUN = "another run is loading the same month; run it again"
_DAMAGED = "the bytes were corrupted in transit ({detail}); run the month again"
_CREDENTIALS = (
    "the credentials were rejected ({detail}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and for"
    " temporary credentials AWS_SESSION_TOKEN, to valid ones"
)
_NOT_PERMITTED = (
    "not permitted ({detail}); allow s3:GetObject, s3:PutObject, s3:AbortMultipartUpload and s3:ListBucket"
)

_RESTART = {
    "PreconditionFailed": _ANOTHER_RUN,
    "ConditionalRequestConflict": _ANOTHER_RUN,
    "OperationAborted": _ANOTHER_RUN,
    "NoSuchKey": _ANOTHER_RUN,  # the object to replace no longer exists
    "NoSuchUpload": _ANOTHER_RUN,
    "412": _ANOTHER_RUN,
    "BadDigest": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
}
"""Errors after which the month starts over, by code (Amazon S3 API reference, "Error responses")."""

_REFUSED = {
    "NoSuchBucket": "the bucket does not exist; create it or set S3_BUCKET",
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "RequestTimeTooSkewed": "this machine's clock is wrong ({detail}); correct it",
    "NotImplemented": "the store does not support conditional writes ({detail}), which keep two runs apart",
}

_BUSY = ("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequests")


@contextlib.contextmanager
def translate_errors(where: str) -> Iterator[None]:
    """Turn errors of boto3 into DestinationError and its subclasses."""
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        raise _from_status(code, status, where, f"{code}: {one_line(message)}") from error
    except (boto.HTTPClientError, boto.ConnectionError, boto.IncompleteReadError) as error:
        raise _unreachable(where, one_line(error)) from error
    except (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.CredentialRetrievalError,
        boto.TokenRetrievalError,
        boto.SSOError,
        boto.ProfileNotFound,
    ) as error:
        raise DestinationError(f"{where}: {_CREDENTIALS.format(detail=one_line(error))}.") from error
    except (boto.BotoCoreError, ValueError) as error:  # a setting that boto3 rejects
        raise DestinationError(
            f"{where}: {one_line(error)}; check S3_BUCKET, AWS_ENDPOINT and AWS_REGION."
        ) from error


def _from_status(code: str, status: int, where: str, detail: str) -> DestinationError:
    if code in _RESTART:
        return PreconditionFailed(f"{where}: {_RESTART[code].format(detail=detail)}.")
    if code in _REFUSED:
        return DestinationError(f"{where}: {_REFUSED[code].format(detail=detail)}.")
    if code in _BUSY or status == 429 or status >= 500:
        return DestinationUnreachable(f"{where}: the service is busy ({detail}); run the month again later.")
    if status in (401, 403):
        return DestinationError(f"{where}: {_NOT_PERMITTED.format(detail=detail)}.")
    return DestinationError(f"{where}: refused ({detail}).")


def _unreachable(where: str, detail: str) -> DestinationError:
    if "CERTIFICATE_VERIFY_FAILED" in detail:
        return DestinationError(
            f"{where}: the server's certificate is not trusted on this machine ({detail}); behind a proxy"
            " that re-signs traffic, set AWS_CA_BUNDLE to its certificate."
        )
    return DestinationUnreachable(
        f"{where} cannot be reached or closed the connection ({detail}); check the network and run the"
        " month again."
    )
