"""Base images are fixed by digest, the same ones in Compose and in the Dockerfiles."""

import re

from nyc_taxi.settings import PROJECT

DEFAULTS = dict(re.findall(r"\$\{(\w+_IMAGE):-(.+?)\}", (PROJECT / "docker-compose.yml").read_text()))


def test_images_of_compose_are_fixed_by_digest():
    assert set(DEFAULTS) == {"PYTHON_IMAGE", "POSTGRES_IMAGE", "MYSQL_IMAGE", "REDIS_IMAGE"}
    for image in DEFAULTS.values():
        assert re.fullmatch(r"[a-z]+:[\w.-]+@sha256:[0-9a-f]{64}", image)


def test_dockerfiles_name_the_same_image():
    for file in ("Dockerfile", "airflow_project/Dockerfile"):
        text = (PROJECT / file).read_text()
        assert re.findall(r"^ARG PYTHON_IMAGE=(.+)$", text, re.MULTILINE) == [DEFAULTS["PYTHON_IMAGE"]]
        assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
