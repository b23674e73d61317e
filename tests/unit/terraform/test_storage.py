"""What the bucket keeps, what is copied into it, and who may use it: what costs money, or fails at Google."""

from __future__ import annotations

from tests.unit.terraform import configuration

RESOURCES = {resource.address: resource.body for resource in configuration.resources()}
BUCKET = RESOURCES["google_storage_bucket.trips"]


def deletions():
    """Conditions of the rules that delete objects."""
    rules = [(rule["action"][0]["type"], rule["condition"][0]) for rule in BUCKET["lifecycle_rule"]]
    return [condition for type_, condition in rules if type_ == '"Delete"']


def test_replaced_objects_are_kept_once_and_for_some_days():
    """Versioning keeps them; soft delete would keep and bill them once more."""
    assert BUCKET["versioning"][0]["enabled"] is True
    assert BUCKET["soft_delete_policy"][0]["retention_duration_seconds"] == 0
    [noncurrent] = [each for each in deletions() if each["with_state"] == '"ARCHIVED"']
    assert noncurrent["days_since_noncurrent_time"] == "${module.rules.keep_days}"


def test_the_transfer_copies_no_file_that_the_inbox_has_deleted():
    """That the days of the one are fewer than those of the other, modules/rules tests itself."""
    [inbox] = [each for each in deletions() if each.get("matches_prefix") == ['"inbox/"']]
    assert inbox["age"] == "${module.rules.inbox_days}"
    [specification] = RESOURCES["google_storage_transfer_job.s3"]["transfer_spec"]
    assert specification["object_conditions"][0]["max_time_elapsed_since_last_modification"] == (
        '"${module.rules.transfer_days * 24 * 3600}s"'
    )
    assert specification["transfer_options"][0]["overwrite_objects_already_existing_in_sink"] is False


def test_the_workers_have_their_roles_on_the_bucket():
    granted = RESOURCES["google_storage_bucket_iam_member.worker"]
    assert granted["for_each"] == "${module.rules.roles.worker_bucket}"
    assert granted["role"] == "${each.value}"
    assert granted["bucket"] == "${google_storage_bucket.trips.name}"
    assert granted["member"] == "${google_service_account.worker.member}"
