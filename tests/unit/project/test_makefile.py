"""The Makefile: what `make help` lists, and what a target runs."""

import os
import re
import subprocess

import pytest

from nyc_taxi.settings import PROJECT


def make(*arguments):
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")
    }
    done = subprocess.run(
        ["make", *arguments], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_help_lists_every_target_with_what_it_does():
    text = (PROJECT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)", text, re.MULTILINE)[1].split())
    listed = dict(re.findall(r"^  make ([a-z0-9-]+) +(.+)$", make("help"), re.MULTILINE))
    assert targets - set(listed) == {"environment", "environment-dev"}
    assert set(listed) <= targets
    assert make() == make("help")


def test_run_takes_its_month_from_the_command_line():
    command = make("-n", "run", "SERVICE=yellow", "MONTH=2021-01", "SOURCE=../my files")
    assert '-m launchers.mage.run --service "yellow" --month "2021-01" --source "../my files"' in command
    assert '--service "green" --month "2020-04" --source ""' in make("-n", "run")


@pytest.mark.parametrize(("umask", "expected"), [(0o000, "0022"), (0o002, "0022"), (0o077, "0077")])
def test_others_can_write_nothing_that_make_creates(umask, expected):
    """Environments and compiled modules are code: whoever can write them runs programs as their owner."""
    done = subprocess.run(
        ["make", "-s", "-f", "-", "print-umask"],
        input="include Makefile\nprint-umask:\n\t@umask\n",
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        umask=umask,
    )
    assert done.stdout.strip() == expected
