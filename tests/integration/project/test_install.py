"""requirements/install.sh where things are missing; making a real environment takes too long for a test."""

import os
import shutil
import subprocess

import pytest

from nyc_taxi.settings import PROJECT

TOOLS = ("sh", "dirname", "cat", "cksum", "grep", "sed", "head", "printf", "mkdir")


@pytest.fixture
def clone(tmp_path):
    """A clone, and a PATH with a shell's tools and no Python."""
    shutil.copytree(PROJECT / "requirements", tmp_path / "clone" / "requirements")
    shutil.copy(PROJECT / "pyproject.toml", tmp_path / "clone")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    return tmp_path / "clone"


def install(clone):
    environment = {**os.environ, "PATH": str(clone.parent / "bin")}
    script = clone / "requirements" / "install.sh"
    return subprocess.run([script, "mage"], env=environment, capture_output=True, text=True)


def provide(program, text):
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_without_a_python_that_mage_runs_on_it_says_which_are_needed(clone):
    programs = clone.parent / "bin"
    provide(
        programs / "python3.12", "echo 'a launcher of a version manager, without a version' >&2; exit 127"
    )
    provide(programs / "python3", "exit 1  # another version")
    done = install(clone)
    assert done.returncode == 1
    assert done.stderr == (
        "environment: Python 3.11 or 3.12 is needed and neither python3.11, python3.12 nor python3 is one: "
        "install one of them.\n"
    )


def test_without_the_venv_module_it_says_what_to_install(clone):
    python = 'case "$*" in *venv*) exit 1;; --version) echo Python 3.11.2;; esac'
    provide(clone.parent / "bin" / "python3.11", python)
    done = install(clone)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "environment: making .venv with Python 3.11.2",
        "environment: python3.11 cannot make an environment: install its venv module "
        "(on Debian and Ubuntu the package python3.11-venv).",
    ]


def test_an_environment_that_fits_is_left_alone(clone):
    calls = clone.parent / "calls"
    provide(clone / ".venv" / "bin" / "python", f'echo "$*" >>{calls}')
    provide(clone / ".venv" / "bin" / "uv", f'echo "uv $*" >>{calls}')

    assert install(clone).returncode == 0
    assert "uv pip install" in calls.read_text()
    calls.write_text("")
    again = install(clone)
    assert (again.returncode, again.stderr, calls.read_text()) == (0, "", "")

    with (clone / "requirements" / "mage.txt").open("a") as file:
        file.write("# changed\n")
    assert install(clone).returncode == 0
    assert "uv pip install" in calls.read_text()


def test_an_installation_that_fails_is_not_taken_for_done(clone):
    provide(clone / ".venv" / "bin" / "python", 'case "$*" in *" install "*) exit 1;; esac')
    for _ in range(2):
        done = install(clone)
        assert done.returncode == 1
        assert "the packages could not be installed" in done.stderr


def test_pip_stands_in_when_uv_fails(clone):
    calls = clone.parent / "calls"
    provide(clone / ".venv" / "bin" / "python", f'echo "$*" >>{calls}')
    provide(clone / ".venv" / "bin" / "uv", "exit 2")
    done = install(clone)
    assert done.returncode == 0
    assert "uv did not manage" in done.stderr
    assert "--require-hashes -r requirements/mage.txt" in calls.read_text()


def test_pips_settings_reach_uv(clone):
    settings = clone.parent / "settings"
    settings.write_text("global.index-url='https://mirror.example/simple'\nglobal.find-links='\\n/a\\n/b'\n")
    provide(clone / ".venv" / "bin" / "python", f'case "$*" in *"config list"*) cat {settings};; esac')
    provide(clone / ".venv" / "bin" / "uv", 'echo "$UV_INDEX_URL $UV_FIND_LINKS $UV_PYTHON_DOWNLOADS" >&2')
    assert "https://mirror.example/simple /a /b never\n" in install(clone).stderr
