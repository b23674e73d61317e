"""The report: one page that needs nothing else, whatever is in the data."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nyc_taxi.errors import TaxiError
from nyc_taxi.local.samples import write
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.reporting.report import page
from nyc_taxi.reporting.report.figures import aggregate
from nyc_taxi.settings import Settings, load_settings
from tests.support.builders import parquet_month, source_file

VOID = {"meta", "line"}


class Elements(HTMLParser):
    """Names of all elements, their attributes, and those that are open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names, self.open, self.attributes = list[str](), list[str](), dict[str, set[str | None]]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def settings(workspace: Path) -> Settings:
    return load_settings()


def generated(folder: Path, service: str, month: str, rows: int = 2000) -> MonthFiles:
    path = folder / "month.csv.gz"
    write(Service(service), Month.parse(month), path, rows=rows)
    return parquet_month(source_file(path, Service(service), month), folder)


@pytest.mark.parametrize(
    ("service", "month"),
    [
        ("yellow", "2009-01"),
        ("green", "2020-04"),
        ("fhv", "2015-01"),
        ("fhv", "2020-01"),
        ("fhvhv", "2021-01"),
    ],
)
def test_every_service_has_a_page_without_requests(
    tmp_path: Path, settings: Settings, service: str, month: str
) -> None:
    files = generated(tmp_path, service, month)
    html = page.render(files, settings)
    elements = Elements(html)
    assert not elements.open
    assert not {"script", "link", "img", "iframe"} & set(elements.names)
    assert not {"src", "href"} & set(elements.attributes)
    assert "url(" not in html
    assert "@import" not in html
    assert f"{files.trips:,}" in html
    assert ("Fares" in html) == (service != "fhv")


def test_charts_count_every_trip(tmp_path: Path, settings: Settings) -> None:
    files = generated(tmp_path, "green", "2020-04")
    figures = aggregate(files)
    html = page.render(files, settings)
    assert sum(trips for *_, trips in figures.hours) == files.trips
    assert sum(figures.pickups.values()) == files.trips
    by_day = [int(trips) for trips in re.findall(r">2020-04-\d\d: (\d+) trips<", html)]
    assert (len(by_day), sum(by_day)) == (30, files.trips)
    assert sum(trips for _, trips in figures.distances) == files.trips - files.flagged["no_distance"]
    for name, count in (files.quarantined | files.flagged).items():
        assert re.search(rf"<td>{name}<small>.*?</td><td class=\"number\">{count:,}</td>", html, re.DOTALL)


def test_shares_are_of_all_rows_or_of_all_trips(tmp_path: Path, settings: Settings) -> None:
    files = replace(
        generated(tmp_path, "green", "2020-04"),
        rows_in=20,
        trips=16,
        quarantined={"outside_month": 4},
        flagged={"reversal": 8},
    )
    html = page.render(files, settings)
    assert "<b>20.00%</b><span>rows quarantined</span>" in html
    shares = re.findall(r'<tr><td>(\w+)<small>.*?</td><td class="number">\d+</td><td.*?>([\d.]+%)<', html)
    assert shares == [("outside_month", "20.00%"), ("reversal", "50.00%")]


def test_the_command_compares_the_month_with_those_before(workspace: Path) -> None:
    taxi = Path(sys.executable).parent / "taxi"
    for month, rows in (("2020-02", 4000), ("2020-04", 2000)):
        arguments = ["run", "green", month, "--source", f"sample:{rows}:1", "--to", "duckdb"]
        subprocess.run([taxi, *arguments], check=True, capture_output=True)
    written = subprocess.run([taxi, "report", "green", "2020-04"], check=True, capture_output=True, text=True)
    path = workspace / "reports" / "green-2020-04.html"
    assert written.stdout == f"report written to {path}\n"
    html = path.read_text(encoding="utf-8")
    compared = html[html.index("Compared") : html.index("Flagged trips")]
    assert re.findall(r'class="key">([0-9-]+)', compared) == ["2020-04", "2020-02"]
    assert re.search(r"-50\.\d%", compared)
    assert "This month is generated" in html


def test_text_from_data_is_escaped(tmp_path: Path, settings: Settings) -> None:
    files = generated(tmp_path, "green", "2020-04")
    hostile = "<script>alert(1)</script>\"'&"
    files = replace(
        files,
        source=replace(files.source, url=f"https://example.org/{hostile}"),
        transform=hostile,
        flagged={hostile: 3},
        quarantined={hostile: 1},
    )
    html = page.render(files, settings)
    assert "script" not in Elements(html).names
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;") == 4


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TaxiError, match=r"file/page\.html: cannot be written"):
        page.write(generated(tmp_path, "fhv", "2020-01"), settings, tmp_path / "file" / "page.html")


def test_a_damaged_month_is_an_error(tmp_path: Path, settings: Settings) -> None:
    files = generated(tmp_path, "fhv", "2020-01")
    files.trips_path.write_bytes(files.trips_path.read_bytes()[:-50])
    with pytest.raises(TaxiError, match="is damaged"):
        page.render(files, settings)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_a_browser(tmp_path: Path, settings: Settings, scheme: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no browser: install chromium (apt-get install chromium)")
    path = page.write(generated(tmp_path, "green", "2020-04"), settings, tmp_path / "page.html")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 360, "height": 800}, color_scheme=scheme)
        requests: list[str] = []
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(path.as_uri())
        assert requests == [path.as_uri()]
        assert tab.evaluate("document.documentElement.scrollWidth") == 360
        background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background))) > 384) == (scheme == "light")
        browser.close()


def test_a_report_at_google_has_an_address_for_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "gs://taxi/of us/reports/green-2020-04.html"
    assert page.address(uri, load_settings()) == uri, "the embedded emulator has it"
    monkeypatch.setenv("GCS_BUCKET", "taxi")
    link = "https://storage.cloud.google.com/taxi/of%20us/reports/green-2020-04.html"
    assert page.address(uri, load_settings()) == link
    assert page.address("s3://taxi/reports/green-2020-04.html", load_settings()).startswith("s3://")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
    assert page.address(uri, load_settings()) == uri
