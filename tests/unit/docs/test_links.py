"""Links between the pages, and the paths that they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from nyc_taxi.settings import PROJECT
from tests.unit.docs.markdown import PAGES, anchors, code_spans, links, name

DOCS = PROJECT / "docs"
FOLDERS = "nyc_taxi|mage_project|airflow_project|launchers|tests|docs|requirements|terraform|benchmarks"
WRITTEN_LATER = ("tests/artefacts/browser", "terraform/.terraform.lock.hcl", "benchmarks/.months")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in links(page):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: there is no such file"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


@pytest.mark.parametrize("page", [page for page in PAGES if DOCS in page.parents], ids=name)
def test_pages_of_the_site_link_to_pages_of_the_site(page: Path) -> None:
    for link in links(page):
        if not re.match(r"\w+:|#", link):
            target = (page.parent / link.partition("#")[0]).resolve()
            assert DOCS in target.parents, f"{link}: is not part of the site; write the path as code"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_in_the_text_exist(page: Path) -> None:
    for span in code_spans(page):
        if re.fullmatch(rf"({FOLDERS})/[\w./-]+", span):
            assert (PROJECT / span).exists() or span in WRITTEN_LATER, f"{span}: there is no such file"


def test_every_page_is_in_the_navigation() -> None:
    text = re.sub(r"!!python/name:", "", (PROJECT / "mkdocs.yml").read_text("utf-8"))
    listed = re.findall(r"[\w/.-]+\.md", yaml.safe_dump(yaml.safe_load(text)["nav"]))
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in PAGES if DOCS in page.parents)
