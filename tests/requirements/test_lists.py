"""The compiled requirement files: hashed, and one environment within the other."""

import re

import pytest

from nyc_taxi.settings import PROJECT

FOLDER = PROJECT / "requirements"


def pins(name):
    """Package to version and marker, of one compiled file."""
    lines = (FOLDER / f"{name}.txt").read_text().replace(" \\\n", "\n").splitlines()
    return dict(re.match(r"([\w.-]+)==(.+)", line).groups() for line in lines if re.match(r"\w", line))


@pytest.mark.parametrize("name", ["uv", "mage", "dev"])
def test_every_package_is_pinned_and_hashed(name):
    blocks = re.split(r"\n(?=\w)", (FOLDER / f"{name}.txt").read_text())
    packages = [block for block in blocks if re.match(r"\w", block)]
    assert packages
    for block in packages:
        assert re.match(r"[\w.-]+==[^ ]+ .*\\\n +--hash=sha256:[0-9a-f]{64}", block), block.splitlines()[0]


def test_tests_run_on_what_runs():
    assert pins("mage").items() <= pins("dev").items(), "recompile: make requirements"
