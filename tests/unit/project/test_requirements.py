"""The compiled requirement files: hashed, and one environment within the other."""

import re

import pytest
from packaging.requirements import Requirement

from nyc_taxi.settings import PROJECT

FOLDER = PROJECT / "requirements"
COMPILED = [path.stem for path in FOLDER.glob("*.txt") if "uv pip compile" in path.read_text()[:500]]


def pins(name):
    """Packages and versions of one compiled file; on which machines is not compared."""
    lines = (FOLDER / f"{name}.txt").read_text().splitlines()
    return {re.match(r"([\w.-]+)==([^ ]+)", line).groups() for line in lines if re.match(r"\w", line)}


@pytest.mark.parametrize("name", COMPILED)
def test_every_package_is_pinned_and_hashed(name):
    blocks = re.split(r"\n(?=\w)", (FOLDER / f"{name}.txt").read_text())
    packages = [block for block in blocks if re.match(r"\w", block)]
    assert packages
    for block in packages:
        assert re.match(r"[\w.-]+==[^ ]+ .*\\\n +--hash=sha256:[0-9a-f]{64}", block), block.splitlines()[0]


def test_tests_run_on_what_runs():
    assert pins("mage") <= pins("dev"), "recompile: make requirements"


def test_vulnerable_versions_that_mage_pins_are_replaced():
    lines = (FOLDER / "mage-overrides.txt").read_text().splitlines()
    bounds = [Requirement(line.partition("#")[0]) for line in lines if re.match(r"\w", line)]
    versions = dict(pins("mage"))
    assert len(bounds) >= 6
    for bound in bounds:
        assert versions[bound.name] in bound.specifier, "recompile: make requirements"


def test_make_requirements_compiles_all_of_them():
    makefile = (PROJECT / "Makefile").read_text()
    assert sorted(re.search(r"^LISTS := (.*)", makefile, re.MULTILINE)[1].split()) == sorted(COMPILED)


def test_every_installation_of_packages_checks_hashes():
    """Of overridden versions too: they are in the same lists."""
    files = [
        *FOLDER.glob("*.sh"),
        PROJECT / "Makefile",
        PROJECT / "Dockerfile",
        PROJECT / "airflow_project/Dockerfile",
    ]
    commands = []
    for file in files:
        text = file.read_text().replace("\\\n", " ")
        commands += [
            line for line in text.splitlines() if re.search(r"^[^#]*(\binstall\b.* -r |pip --no-deps)", line)
        ]
    assert len(commands) >= 7
    for command in commands:
        assert "--require-hashes" in command or "--no-index" in command, command
