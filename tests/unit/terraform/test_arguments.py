"""terraform/ against the schema of its providers: what `terraform validate` checks, without a download."""

from __future__ import annotations

import json
import re

import pytest

from tests.unit.terraform import configuration, provider_schema

OF_TERRAFORM = {"count", "for_each", "depends_on", "lifecycle", "provider", "provisioner", "connection"}
SCHEMA = json.loads(provider_schema.SCHEMA.read_text())
RENEW = "run `make terraform-schema`"


def problems(resource, schema=SCHEMA):
    """What the provider would refuse, one sentence each."""
    fields = schema[resource.kind][resource.type]
    return [*of_block(resource.address, resource.body, fields), *of_references(resource, schema)]


def of_block(where, body, fields):
    given = {}
    for name, value in body.items():
        if name == "dynamic":
            given |= {
                label.strip('"'): block["content"]
                for each in value
                for label, block in each.items()
                if not label.startswith("__")
            }
        elif name not in OF_TERRAFORM and not name.startswith("__"):
            given[name] = value
    for name, value in given.items():
        field = fields.get(name)
        blocks = [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
        nested = any("__is_block__" in block for block in blocks)
        if field is None or field.get("computed"):
            yield f"{where}: {name} is not an argument"
        elif nested != ("block" in field):
            yield f"{where}: {name} is {'an argument, not a block' if nested else 'a block, not an argument'}"
        else:
            if field.get("deprecated"):
                yield f"{where}: {name} is deprecated"
            if nested and len(blocks) > 1 and not field.get("many"):
                yield f"{where}: {name} may be given once"
            for block in blocks if nested else []:
                yield from of_block(f"{where}.{name}", block, field["block"])
    for name, field in fields.items():
        if field.get("required") and name not in given:
            yield f"{where}: {name} is missing"


def of_references(resource, schema):
    for address, path in sorted(resource.references()):
        kind = "data" if address.startswith("data.") else "resource"
        fields = schema[kind].get(address.removeprefix("data.").partition(".")[0])
        if fields is None:
            yield f"{resource.address}: refers to {address}, of which the schema is not known: {RENEW}"
            continue
        for name in re.findall(r"\.(\w+)", path):
            if fields is None or name not in fields:
                yield f"{resource.address}: {address}{path} cannot be read: there is no {name}"
                break
            fields = fields[name].get("block")


@pytest.mark.parametrize("resource", configuration.resources(), ids=lambda resource: resource.address)
def test_every_argument_is_one_of_the_provider(resource):
    assert resource.type in SCHEMA[resource.kind], f"the schema of {resource.type} is not stored: {RENEW}"
    assert problems(resource) == []


def test_the_schema_is_of_the_versions_that_terraform_installs():
    versions = (configuration.ROOT / "versions.tf").read_text()
    allowed = dict(re.findall(r'source\s*=\s*"(.*)"\s*version\s*=\s*"(.*)"', versions))
    assert allowed == {
        source: f"~> {version.rpartition('.')[0]}" for source, version in SCHEMA["providers"].items()
    }
    assert SCHEMA["packages"] == provider_schema.pinned(), RENEW


def test_the_schema_holds_nothing_that_is_not_used():
    used = {(resource.kind, resource.type) for resource in configuration.resources()}
    assert {(kind, type_) for kind in ("resource", "data") for type_ in SCHEMA[kind]} == used, RENEW


BUCKET = 'name = "b"\nlocation = "US"\n'


@pytest.mark.parametrize(
    ("type_", "body", "problem"),
    [
        ("google_storage_bucket", BUCKET, None),
        ("google_storage_bucket", 'name = "b"', "location is missing"),
        ("google_storage_bucket", BUCKET + "versions = true", "versions is not an argument"),
        ("google_storage_bucket", BUCKET + 'url = "gs://b"', "url is not an argument"),
        ("google_storage_bucket", BUCKET + "versioning = true", "versioning is a block, not an argument"),
        ("google_storage_bucket", BUCKET + "force_destroy {\n}", "force_destroy is an argument, not a block"),
        ("google_storage_bucket", BUCKET + "versioning {\n}", "enabled is missing"),
        (
            "google_storage_bucket",
            BUCKET + "soft_delete_policy {\n}\nsoft_delete_policy {\n}",
            "soft_delete_policy may be given once",
        ),
        (
            "google_storage_bucket",
            BUCKET + 'dynamic "lifecycle_rule" {\ncontent {\naction {\n}\ncondition {\nold = 1\n}\n}\n}',
            "old is not an argument",
        ),
        (
            "google_storage_bucket",
            BUCKET + "project = google_composer_environment.a.config[0].airflow_uri",
            None,
        ),
        (
            "google_storage_bucket",
            BUCKET + "project = google_composer_environment.a.config[0].uri",
            "google_composer_environment.a.config[0].uri cannot be read: there is no uri",
        ),
    ],
)
def test_mistakes_are_noticed(type_, body, problem):
    [resource] = configuration.parse(f'resource "{type_}" "tried" {{\n{body}\n}}')
    faults = [text for text in problems(resource) if "type is missing" not in text]
    assert faults == [] if problem is None else [text.endswith(problem) for text in faults] == [True]
