import datetime as dt
import http.server
import os
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
import stamina
import tenacity

from nyc_taxi.errors import NotPublished, SourceError, SourceUnreachable, Transient
from nyc_taxi.extract.candidates import Published
from nyc_taxi.extract.sources import resolve
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import load_settings
from tests.support.servers import Fault, FaultyServer

GREEN = Service.GREEN
APRIL = Month(2020, 4)
DATA = b"VendorID,fare\n" + b"2,10\n" * 100
DATE = "Wed, 01 Jul 2020 10:00:00 GMT"


def published(text: str) -> Published | None:
    return resolve(text, load_settings()).published(GREEN, APRIL)


def methods(server: FaultyServer) -> list[str]:
    return [request.method for request in server.requests]


def test_one_head_request_tells_the_version(server: FaultyServer) -> None:
    url = server.put("/a.csv", DATA, etag='"v1"')
    assert published(url) == Published(url, '"v1"', DATE, len(DATA))
    assert methods(server) == ["HEAD"]


@pytest.mark.parametrize("status", [400, 403, 405, 501])
def test_a_refused_head_is_asked_again_as_a_get_of_one_byte(server: FaultyServer, status: int) -> None:
    url = server.put("/a.csv", DATA, etag='"v1"')
    server.plan = [Fault(status=status)]
    assert published(url) == Published(url, '"v1"', DATE, len(DATA))
    assert methods(server) == ["HEAD", "GET"]
    assert server.requests[1].headers["Range"] == "bytes=0-0"


def test_a_server_without_head_and_ranges(server: FaultyServer) -> None:
    url = server.put("/a.csv", DATA, etag=None, last_modified=None)
    server.plan = [Fault(status=405), Fault(full=True)]
    assert published(url) == Published(url, None, None, len(DATA))


@pytest.mark.parametrize("status", [403, 404, 410])
def test_an_absent_month_is_not_published(server: FaultyServer, status: int) -> None:
    server.plan = [Fault(status=status), Fault(status=status)]
    assert published(server.url + "/a.csv") is None


def test_a_base_url_is_searched_name_by_name(server: FaultyServer) -> None:
    url = server.put("/taxi/green/green_tripdata_2020-04.csv.gz", DATA)
    publication = published(server.url + "/taxi")
    assert publication is not None
    assert publication.url == url
    assert len(server.requests) == 5


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: FaultyServer, status: int) -> None:
    url = server.put("/a.csv", DATA)
    server.plan = [Fault(status=status), Fault(status=status)]
    assert published(url) is not None
    assert len(server.requests) == 3


def test_attempts_are_bounded_and_the_error_is_transient(server: FaultyServer) -> None:
    server.plan = [Fault(status=503)] * 9
    with pytest.raises(SourceUnreachable, match=r"answered 503 .*TAXI_SOURCE=sample") as caught:
        published(server.url + "/a.csv")
    assert isinstance(caught.value, Transient)
    assert len(server.requests) == load_settings().retries == 3


def test_a_refusal_is_final(server: FaultyServer) -> None:
    server.plan = [Fault(status=401)]
    with pytest.raises(SourceError, match=r"401 Unauthorized; check the URL and its credentials") as caught:
        published(server.url + "/a.csv")
    assert not isinstance(caught.value, Transient | NotPublished)
    assert len(server.requests) == 1


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that would have been waited between attempts."""
    seconds: list[float] = []
    stamina.set_testing(False)
    monkeypatch.setattr(tenacity.nap, "time", type("Clock", (), {"sleep": staticmethod(seconds.append)}))
    return seconds


def test_retry_after_is_honoured(server: FaultyServer, waits: list[float]) -> None:
    url = server.put("/a.csv", DATA)
    past = "Wed, 01 Jul 2020 10:00:00 GMT"
    server.plan = [
        Fault(status=429, headers={"Retry-After": "7"}),
        Fault(status=503, headers={"Retry-After": past}),
    ]
    assert published(url) is not None
    assert waits == [7.0, 0.0]


def test_backoff_without_retry_after(server: FaultyServer, waits: list[float]) -> None:
    url = server.put("/a.csv", DATA)
    server.plan = [Fault(status=503), Fault(status=503, headers={"Retry-After": "soon"})]
    assert published(url) is not None
    assert len(waits) == 2
    assert all(0 < wait <= 20 for wait in waits)


def test_a_server_that_asks_for_too_long_a_wait_is_given_up(server: FaultyServer, waits: list[float]) -> None:
    server.plan = [Fault(status=429, headers={"Retry-After": "3600"})]
    with pytest.raises(SourceUnreachable, match="try again in 3600 s"):
        published(server.url + "/a.csv")
    assert waits == []
    assert len(server.requests) == 1


def test_no_answer_names_the_host_and_another_way() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a.csv"
        with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1 cannot be reached .*TAXI_SOURCE=sample"):
            published(url)


def test_a_silent_server_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_TIMEOUT", "0.05")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(SourceUnreachable, match=r"did not answer within 0\.05 s"):
            published(f"http://127.0.0.1:{silent.getsockname()[1]}/a.csv")
    assert time.monotonic() - started < 9  # the default is 30 s


def test_an_outage_is_not_taken_for_another_version(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXI_CSV_URL", server.url + "/mirror")
    monkeypatch.setenv("TAXI_TLC_URL", server.url + "/tlc")
    url = server.put("/tlc/green_tripdata_2020-04.parquet", DATA)
    publication = published("auto")
    assert publication is not None
    assert publication.url == url
    server.plan = [Fault(status=503)] * 3
    with pytest.raises(SourceUnreachable):
        published("auto")


def test_redirects_are_followed_but_never_to_a_file(server: FaultyServer) -> None:
    url = server.put("/real.csv", DATA, etag='"v1"')
    server.plan = [Fault(status=302, headers={"Location": url})]
    publication = published(server.url + "/a.csv")
    assert publication == Published(server.url + "/a.csv", '"v1"', DATE, len(DATA))
    server.plan = [Fault(status=302, headers={"Location": "file:///etc/hostname"})]
    with pytest.raises(SourceError, match="is not a usable URL") as caught:
        published(server.url + "/a.csv")
    assert not isinstance(caught.value, Transient)


def test_local_files(tmp_path: Path) -> None:
    file = tmp_path / "green" / "green_tripdata_2020-04.csv"
    assert published(str(tmp_path)) is None
    file.parent.mkdir()
    file.write_bytes(DATA)
    os.utime(file, (1593597600, 1593597600))
    assert published(str(tmp_path)) == Published(str(file), None, DATE, len(DATA))
    assert published(str(file)) == published(str(tmp_path))


def test_a_single_file_is_not_the_months_its_name_denies(tmp_path: Path) -> None:
    file = tmp_path / "green_tripdata_2020-05.csv"
    file.write_bytes(DATA)
    assert resolve(str(file), load_settings()).published(GREEN, APRIL) is None
    assert resolve(str(file), load_settings()).published(GREEN, Month(2020, 5)) is not None


def test_samples_are_always_there() -> None:
    one, other = published("sample:10:1"), published("sample:10:2")
    assert one is not None
    assert other is not None
    assert one == published("sample:10:1")
    assert one.etag != other.etag


def test_an_untrusted_certificate_is_final_and_says_so(tmp_path: Path) -> None:
    certificate = _self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # the client hangs up
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(SourceError, match="certificate is not trusted") as caught:
            published(f"https://127.0.0.1:{server.server_port}/a.csv")
    assert not isinstance(caught.value, Transient)


def _self_signed(folder: Path) -> Path:
    """A certificate nobody trusts, with its key, in one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(private + certificate.public_bytes(pem))
    return path
