"""What boto3 raises, as one sentence of a TaxiError that says what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from nyc_taxi.errors import DestinationError, DestinationUnreachable, PreconditionFailed

_ANOTHER_RUN = "another run loads the same month at the same time; run it again"
_DAMAGED = "the bytes arrived damaged ({said}); run the month again"
_CREDENTIALS = (
    "the credentials are not accepted ({said}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and for"
    " temporary credentials AWS_SESSION_TOKEN, to valid ones"
)
_NOT_PERMITTED = (
    "not permitted ({said}); allow s3:GetObject, s3:PutObject, s3:AbortMultipartUpload and s3:ListBucket"
)

_AGAIN = {
    "PreconditionFailed": _ANOTHER_RUN,
    "ConditionalRequestConflict": _ANOTHER_RUN,
    "OperationAborted": _ANOTHER_RUN,
    "NoSuchKey": _ANOTHER_RUN,  # what was to be replaced is gone
    "NoSuchUpload": _ANOTHER_RUN,
    "412": _ANOTHER_RUN,
    "BadDigest": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
}
"""Error codes (Amazon S3 API reference, "Error responses") after which the month is started again."""

_REFUSED = {
    "NoSuchBucket": "there is no such bucket; create it or set S3_BUCKET",
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "RequestTimeTooSkewed": "this machine's clock is wrong ({said}); set it",
    "NotImplemented": "the store does not know conditional writes ({said}), without which two runs could mix",
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
        raise _answered(code, status, where, f"{code}: {_short(message)}") from error
    except (boto.HTTPClientError, boto.ConnectionError, boto.IncompleteReadError) as error:
        raise _unreachable(where, _short(error)) from error
    except (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.CredentialRetrievalError,
        boto.TokenRetrievalError,
        boto.SSOError,
        boto.ProfileNotFound,
    ) as error:
        raise DestinationError(f"{where}: {_CREDENTIALS.format(said=_short(error))}.") from error
    except (boto.BotoCoreError, ValueError) as error:  # a setting that makes no sense to boto3
        raise DestinationError(
            f"{where}: {_short(error)}; check S3_BUCKET, AWS_ENDPOINT and AWS_REGION."
        ) from error


def _answered(code: str, status: int, where: str, said: str) -> DestinationError:
    if code in _AGAIN:
        return PreconditionFailed(f"{where}: {_AGAIN[code].format(said=said)}.")
    if code in _REFUSED:
        return DestinationError(f"{where}: {_REFUSED[code].format(said=said)}.")
    if code in _BUSY or status == 429 or status >= 500:
        return DestinationUnreachable(f"{where}: the service is busy ({said}); run the month again later.")
    if status in (401, 403):
        return DestinationError(f"{where}: {_NOT_PERMITTED.format(said=said)}.")
    return DestinationError(f"{where}: refused ({said}).")


def _unreachable(where: str, said: str) -> DestinationError:
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return DestinationError(
            f"{where}: the server's certificate is not trusted here ({said}); behind a proxy that re-signs"
            " traffic set AWS_CA_BUNDLE to its certificate."
        )
    return DestinationUnreachable(
        f"{where} cannot be reached or broke off ({said}); check the network and run the month again."
    )


def _short(message: object) -> str:
    return " ".join(str(message).split()).rstrip(".")[:300]
