"""The packages that a deployment adds to a Composer environment."""

from __future__ import annotations

import re
import tomllib

from nyc_taxi.settings import PROJECT

EXTRAS = ("postgres", "gcp", "s3", "mysql")
"""Extras of pyproject.toml that tasks need: no embedded servers, charts or data frames."""

LEFT_OUT = {
    "every Composer image has it, in a version that it must keep": {
        *("numpy", "sqlalchemy", "psycopg2-binary", "pytz", "platformdirs"),
        *("httpx", "requests", "pydantic", "jinja2", "pyyaml", "rich"),
        *("google-cloud-storage", "google-cloud-bigquery"),
    },
    "no task there needs the command line": {"typer"},
}
"""Packages that are not added, by reason."""

PROVIDERS = ("apache-airflow-providers-amazon", "apache-airflow-providers-smtp")
"""Providers that the DAGs use and that an image may lack."""

PINNED = ("pyarrow", "duckdb")
"""Packages whose version affects the bytes of the Parquet: the same as in every other environment.

Other packages are unpinned, so that they fit the image.
"""


def composer_packages() -> dict[str, str]:
    """Return version specifiers by package; "" for any version."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *(each for extra in EXTRAS for each in extras[extra])]
    needed = {name_of(requirement) for requirement in requirements}.difference(*LEFT_OUT.values())
    compiled = (PROJECT / "requirements" / "airflow.txt").read_text("utf-8")
    versions = dict(re.findall(r"^([\w.-]+)==([^ ;]+)", compiled, re.MULTILINE))
    return {name: f"=={versions[name]}" if name in PINNED else "" for name in sorted(needed.union(PROVIDERS))}


def name_of(requirement: str) -> str:
    """Return the package of a requirement such as `boto3>=1.36`."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
