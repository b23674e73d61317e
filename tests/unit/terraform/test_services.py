"""Nothing in terraform/ is read or made before its API is enabled: on a new project all of them are off."""

from __future__ import annotations

import pytest

from tests.unit.terraform import configuration

ENABLED = "google_project_service.needed"
APIS = {
    "google_bigquery_": {"bigquery"},
    # building, running and triggering a function takes an API each
    "google_cloudfunctions2_": {
        *("cloudfunctions", "cloudbuild", "artifactregistry"),
        *("run", "eventarc", "pubsub", "storage"),
    },
    "google_composer_": {"composer"},
    "google_project_iam_custom_role": {"iam"},
    "google_project_iam_member": {"cloudresourcemanager", "iam"},
    "google_secret_manager_": {"secretmanager"},
    "google_service_account": {"iam"},
    "google_sql_": {"sqladmin"},
    "google_storage_": {"storage"},
    "google_storage_transfer_": {"storagetransfer"},
}
"""APIs by the beginning of a type; the longest beginning counts."""

FIRST = {"google_project_service", "archive_file"}
"""Types that call no API, or that enable them, which takes serviceusage and cloudresourcemanager."""


def apis_of(type_):
    beginnings = [beginning for beginning in APIS if type_.startswith(beginning)]
    assert beginnings, f"{type_}: which API is it of? Add it to APIS."
    return APIS[max(beginnings, key=len)]


def waits(address, resources):
    """Whether a resource depends on the enabled APIs, by depends_on or through what it refers to."""
    seen, left = set(), [address]
    while left:
        current = left.pop()
        if current == ENABLED:
            return True
        if current not in seen and current in resources:
            seen.add(current)
            left += [referred for referred, _ in resources[current].references()]
    return False


RESOURCES = {resource.address: resource for resource in configuration.resources()}


@pytest.mark.parametrize(
    "address", [name for name, resource in RESOURCES.items() if resource.type not in FIRST]
)
def test_it_waits_for_its_api(address):
    missing = apis_of(RESOURCES[address].type) - configuration.services()
    assert missing == set(), "add them to `services` in modules/rules/outputs.tf"
    assert waits(address, RESOURCES), f"add depends_on = [{ENABLED}]"


def test_no_api_is_enabled_for_nothing():
    used = {
        api for resource in RESOURCES.values() if resource.type not in FIRST for api in apis_of(resource.type)
    }
    assert configuration.services() - used == {"serviceusage"}


def test_a_resource_that_does_not_wait_is_noticed():
    parsed = configuration.parse(
        f"""
        resource "google_storage_bucket" "waits" {{
          depends_on = [{ENABLED}]
        }}
        resource "google_storage_bucket_iam_member" "through_another" {{
          bucket = google_storage_bucket.waits.name
        }}
        resource "google_storage_bucket" "alone" {{
          name = module.rules.names.bucket # not {ENABLED}
        }}
        """
    )
    resources = {resource.address: resource for resource in parsed}
    assert [name for name in resources if not waits(name, resources)] == ["google_storage_bucket.alone"]
