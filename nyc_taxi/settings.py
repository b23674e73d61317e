"""Settings: the environment, `.env` and `io_config.yaml`, typed.

`TAXI_*` variables control the pipeline's behaviour; a profile of `io_config.yaml`, the file that Mage's
own blocks and UI use, holds its connections. `.env.example` documents both. Each command, block or task
loads the settings once and passes them down.
"""

from __future__ import annotations

import difflib
import functools
import logging
import os
from pathlib import Path
from typing import Any, Literal, Self

import jinja2
import platformdirs
import pydantic
import yaml

from nyc_taxi.env_file import load_env_file
from nyc_taxi.errors import SettingsError

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).resolve().parent

INSTALLED = (PACKAGE / "defaults").is_dir()
"""Whether the package comes from a wheel, which contains the files that users edit (see setup.py)."""

PROJECT = Path() if INSTALLED else PACKAGE.parent
"""Folder of `.env` and base of relative paths: the checkout or deployment, else the current directory."""


def keep_writers_out() -> None:
    """Let nobody else write what this process and its children create, whatever the umask."""
    os.umask(os.umask(0o077) | 0o022)


def absolute_path(path: str | Path) -> Path:
    """Return the path of a setting; a relative path is resolved against PROJECT."""
    return (PROJECT / Path(path).expanduser()).absolute()


def _default_file(path: str) -> Path:
    """Return the path of a file that users may edit: in the checkout, or in the installed package."""
    return PACKAGE / "defaults" / Path(path).name if INSTALLED else PROJECT / path


def _default_workspace() -> Path:
    return platformdirs.user_data_path("nyc-taxi") if INSTALLED else PROJECT / "workspace"


DEFAULT_TRANSFORM = _default_file("mage_project/transformers/derive_trips.py")


class Settings(pydantic.BaseModel):
    """All settings. Relative paths are resolved against the checkout, if any, else the current directory."""

    model_config = pydantic.ConfigDict(frozen=True)

    workspace: Path = pydantic.Field(default_factory=_default_workspace)
    """Downloads, scratch files, the local lake and the data of embedded servers: a folder on a local disk."""
    lake: Literal["auto", "local", "gcs", "s3"] = "auto"
    """Storage of raw files and refined versions: a folder of the workspace, or a bucket in GCS or S3."""
    rules: Path = _default_file("mage_project/rules.yaml")
    """The rules that quarantine or flag rows."""
    transform: Path = DEFAULT_TRANSFORM
    """The file with the user's function on batches of trips; an empty file transforms nothing."""
    io_config: Path = _default_file("io_config.yaml")
    """The file of connections, one profile per environment."""
    profile: str = "default"
    """The profile of io_config.yaml."""
    source: str = "auto"
    """The default source of months: auto, tlc, csv, sample, a folder, a file or a URL."""
    tlc_url: str = "https://d37ci6vzurychx.cloudfront.net/trip-data"
    """Base URL of TLC's Parquet files."""
    csv_url: str = "https://github.com/DataTalksClub/nyc-tlc-data/releases/download"
    """Base URL of a mirror of TLC's CSV files of 2019-2021."""
    zones_url: str = "https://d37ci6vzurychx.cloudfront.net/misc/taxi_zone_lookup.csv"
    """TLC's list of taxi zones: a URL or a file."""
    destinations: str = "auto"
    """Default destinations, separated by commas; auto selects every destination that is available."""
    retries: int = pydantic.Field(default=5, ge=1, le=20)
    """Maximum attempts of an operation that fails transiently."""
    timeout: float = pydantic.Field(default=30.0, gt=0)
    """Seconds to wait for a connection and for the next byte of a download."""
    max_unreadable: float = pydantic.Field(default=0.1, ge=0, le=1)
    """Share of rows that may fail to parse before the file is refused."""
    max_quarantined: float = pydantic.Field(default=0.1, ge=0, le=1)
    """Share of rows that may be quarantined, for any reason, before a month is refused."""
    min_trips: float = pydantic.Field(default=0.5, ge=0, le=1)
    """Minimum trips of a month, as a share of the version it replaces or of the neighbouring months."""
    bikeshare_tables: Path = PACKAGE / "pipelines" / "bikeshare" / "tables.yaml"
    """The tables of the bike-share pipeline."""
    bikeshare_extract: Literal["mysql", "export"] = "mysql"
    """How the bike-share tables are read: by a MySQL query, or from a Cloud SQL export in the bucket."""
    bikeshare_escape: Literal["22", "5C"] = "22"
    """The escape character of that export in hex, as `gcloud sql export csv --escape` takes it."""
    log: Literal["text", "time", "json"] = "text"
    """Log lines as sentences, as sentences with the time, or as JSON (`nyc_taxi.telemetry.events.Event`)."""
    threads: int = pydantic.Field(default=min(os.cpu_count() or 1, 4), ge=1, le=64)
    """Number of parallel parsers."""

    @classmethod
    def from_environment(cls) -> Self:
        """The settings that TAXI_* variables name; an empty one counts as not set."""
        values = {name: os.environ.get(f"TAXI_{name.upper()}") for name in cls.model_fields}
        return cls.model_validate({name: value for name, value in values.items() if value})

    @pydantic.field_validator("workspace", "rules", "transform", "io_config", "bikeshare_tables")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return absolute_path(path)

    @pydantic.field_validator("transform")
    @classmethod
    def _existing(cls, path: Path) -> Path:
        if path != DEFAULT_TRANSFORM and not path.exists():
            raise ValueError("the file does not exist; to apply no transform, name an empty file")
        return path

    @property
    def lake_backend(self) -> Literal["local", "gcs", "s3"]:
        """TAXI_LAKE, with `auto` resolved to the folder in the workspace."""
        return "local" if self.lake == "auto" else self.lake

    @functools.cached_property
    def connections(self) -> dict[str, Any]:
        """The profile of io_config.yaml, rendered as Mage renders it, without empty values.

        Raises SettingsError if the file cannot be read or lacks the profile.
        """
        try:
            text = self.io_config.read_text(encoding="utf-8")
        except OSError as error:
            raise SettingsError(
                f"{self.io_config}: cannot be read ({error.strerror}); set TAXI_IO_CONFIG."
            ) from None
        try:
            profiles = yaml.safe_load(_template(text).render(env_var=os.getenv)) or {}
        except jinja2.TemplateError as error:
            raise SettingsError(f"{self.io_config}: is not a valid template: {error}.") from None
        except yaml.YAMLError as error:  # its text quotes the line, which may hold a password
            mark = getattr(error, "problem_mark", None)
            where = f" in line {mark.line + 1}" if mark else ""
            raise SettingsError(
                f"{self.io_config}: is not valid YAML{where} once the environment's values are filled in."
            ) from None
        if self.profile not in profiles:
            known = ", ".join(name for name in profiles if name != "version")
            raise SettingsError(
                f"{self.io_config}: has no profile {self.profile!r} (TAXI_PROFILE); it has {known}."
            )
        return {
            name: value for name, value in profiles[self.profile].items() if value not in (None, "", "None")
        }


OTHER_NAMES = {
    *("TAXI_ALERT_EMAIL", "TAXI_ALERT_FROM", "TAXI_PARALLEL_MONTHS", "TAXI_POOL", "TAXI_RETRY_SECONDS"),
    *("TAXI_EVENTS_FD", "TAXI_RUN_ID", "TAXI_STARTER_FD", "TAXI_TRIGGER_TOKEN"),
    *("TAXI_GID", "TAXI_PASSWORD", "TAXI_ROLE", "TAXI_UID", "TAXI_REAL_DATA"),
}
"""Variables that only Airflow's DAGs, Mage, the containers or the tests read, besides TAXI_TEST_*."""


def load_settings() -> Settings:
    """Read the settings; raises SettingsError naming the invalid variable or line of `.env`."""
    load_env_file(PROJECT / ".env")
    _warn_of_unknown(frozenset(name for name in os.environ if name.startswith("TAXI_")))
    try:
        return Settings.from_environment()
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = "TAXI_" + str(first["loc"][0]).upper()
        raise SettingsError(f"{name}={first.get('input')!r} is not valid: {first['msg']}.") from None


def log_form() -> str:
    """TAXI_LOG, read before anything is logged; `load_settings` checks the value."""
    load_env_file(PROJECT / ".env")
    return os.environ.get("TAXI_LOG") or "text"


@functools.cache
def _warn_of_unknown(names: frozenset[str]) -> None:
    """Warn of names that nothing reads; once per process, because settings are loaded often."""
    known = {f"TAXI_{name.upper()}" for name in Settings.model_fields}
    for name in sorted(names - known - OTHER_NAMES):
        if not name.startswith("TAXI_TEST_"):
            near = difflib.get_close_matches(name, known, 1)
            advice = f"did you mean {near[0]}?" if near else "see .env.example for the names."
            log.warning("%s is not a setting and has no effect; %s", name, advice)


@functools.lru_cache(maxsize=4)
def _template(text: str) -> jinja2.Template:
    """Compile a template once: this is the slowest part of reading a profile."""
    return jinja2.Template(text)
