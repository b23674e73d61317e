"""The package installed from a wheel, without a checkout: on every Python that is supported and present."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nyc_taxi.settings import INSTALLED, PROJECT, Settings

VERSIONS = ("3.11", "3.12", "3.13")
DEFAULTS = {"mage_project/rules.yaml", "mage_project/io_config.yaml"}


Done = subprocess.CompletedProcess[str]


def run(*command: object, cwd: Path, check: bool = True, **environment: str) -> Done:
    """Run a program with nothing of this environment but PATH and the settings of pip."""
    kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("PIP_")}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=kept | environment, capture_output=True, text=True
    )
    assert done.returncode == 0 or not check, done.stderr
    return done


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the package is built from, so that nothing is written into the checkout."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy2(PROJECT / name, folder)
    for name in ("nyc_taxi", "mage_project"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return folder


def build_wheel(source: Path, folder: Path) -> Path:
    """Build a wheel as pip does, with the setuptools of this environment."""
    options = ("-qq", "--no-deps", "--no-build-isolation", "--no-index")
    run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", folder, source, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


def test_a_wheel_carries_what_a_checkout_has_elsewhere(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        for path in DEFAULTS:
            packaged = f"nyc_taxi/defaults/{Path(path).name}"
            assert archive.read(packaged) == (PROJECT / path).read_bytes()
            names.remove(packaged)
    package = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "nyc_taxi").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == package


def test_a_source_distribution_makes_the_same_wheel(source: Path, wheel: Path, tmp_path: Path) -> None:
    build = "import setuptools.build_meta as backend; backend.build_sdist('dist')"
    run(sys.executable, "-c", build, cwd=source)
    (archive,) = (source / "dist").glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(build_wheel(archive, tmp_path)) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())


def test_a_checkout_reads_its_own_files() -> None:
    assert not INSTALLED
    assert Settings.model_fields["rules"].default == PROJECT / "mage_project" / "rules.yaml"
    assert Settings.model_fields["io_config"].default == PROJECT / "io_config.yaml"


@dataclass(frozen=True)
class Installation:
    """An environment with the package, an empty home and a folder that is no checkout."""

    folder: Path

    def program(self, name: str, *arguments: str, check: bool = True) -> Done:
        program = self.folder / "venv" / "bin" / name
        return run(program, *arguments, cwd=self.folder / "here", check=check, HOME=str(self.folder / "home"))

    def taxi(self, *arguments: str, check: bool = True) -> Done:
        return self.program("taxi", *arguments, check=check)


@pytest.fixture(scope="session", params=VERSIONS)
def installation(request: pytest.FixtureRequest, wheel: Path) -> Iterator[Installation]:
    python = find_python(request.param)
    if python is None:
        pytest.skip(f"there is no Python {request.param}")
    folder = Path(tempfile.mkdtemp(prefix="nyc-taxi-"))
    folder.chmod(0o711)  # the embedded server's account passes through
    for name in ("home", "here"):
        (folder / name).mkdir()
    run(python, "-m", "venv", folder / "venv", cwd=folder)
    pip = [folder / "venv" / "bin" / "python", "-m", "pip", "-qq", "--disable-pip-version-check"]
    reached = run(*pip, "download", "--no-deps", "--dest", folder, "platformdirs", cwd=folder, check=False)
    if reached.returncode:
        pytest.skip(f"no package index can be reached: {reached.stderr.strip().splitlines()[-1]}")
    run(*pip, "install", f"{wheel}[postgres,local,pandas]", cwd=folder)
    installed = Installation(folder)
    yield installed
    installed.taxi("stop", check=False)
    shutil.rmtree(folder)


def find_python(version: str) -> str | None:
    """A Python of that version, on the path or in pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for candidate in (f"python{version}", *map(str, pyenv.glob(f"versions/{version}.*/bin/python{version}"))):
        check = [candidate, "-c", "import venv, sys; print(sys.version_info[:2])"]
        if shutil.which(candidate) and subprocess.run(check, capture_output=True).returncode == 0:
            return candidate
    return None


@pytest.mark.slow
def test_an_installed_package_does_what_a_checkout_does(installation: Installation) -> None:
    """One test: each step builds on the one before."""
    assert "catch-up" in installation.taxi("--help").stdout
    for destination in ("duckdb", "postgres"):
        done = installation.taxi("run", "green", "2020-04", "--source", "sample:2000:1", "--to", destination)
        assert "2,000" in done.stdout
        assert "Warning" not in done.stderr
        assert "leaked" not in done.stderr
    workspace = installation.folder / "home" / ".local" / "share" / "nyc-taxi"
    assert (workspace / "warehouse.duckdb").exists()

    (month,) = json.loads(installation.taxi("status", "--json").stdout)
    assert (month["service"], month["month"]) == ("green", "2020-04")
    assert month["destinations"].keys() == {"postgres", "duckdb"}
    assert "generated" in installation.taxi("status").stdout
    assert "total_amount" in installation.taxi("preview", "green", "2020-04").stdout

    code = (
        "import nyc_taxi; trips = nyc_taxi.read_trips('green', '2020-04')\n"
        "frame = nyc_taxi.read_trips('green', '2020-04', as_='pandas')\n"
        "print(type(trips).__module__, trips.num_rows == len(frame) > 1900)"
    )
    assert installation.program("python", "-W", "ignore", "-c", code).stdout == "pyarrow.lib True\n"

    missing = installation.taxi("run", "green", "2020-04", "--source", "sample", "--to", "gcs", check=False)
    assert missing.returncode == 1
    assert missing.stderr.strip() == "taxi: GCS needs the extra `gcp`: pip install 'nyc-taxi[gcp]'."
    missing = installation.taxi("bikeshare", "status", check=False)
    assert "The bike-share pipeline needs the extra `mysql`: pip install 'nyc-taxi[mysql]'." in missing.stderr


@pytest.mark.slow
def test_env_and_files_of_the_current_folder_are_used(installation: Installation) -> None:
    here = installation.folder / "here"
    rules = (PROJECT / "mage_project" / "rules.yaml").read_text("utf-8")
    (here / "my-rules.yaml").write_text(rules.replace("dropoff_before_pickup", "backwards"))
    settings = ("TAXI_WORKSPACE=data", "TAXI_RULES=my-rules.yaml", "DUCKDB_DATABASE=trips.duckdb")
    (here / ".env").write_text("\n".join(settings))
    done = installation.taxi("run", "green", "2020-04", "--source", "sample:2000:1", "--to", "duckdb")
    assert "backwards" in done.stdout
    assert (here / "trips.duckdb").exists()
    assert (here / "data" / "generated" / "trips").exists()
    (here / ".env").unlink()
