# Trips, zones and the bike-share's files. A file written below inbox/ starts a load.
resource "google_storage_bucket" "trips" {
  #checkov:skip=CKV_GCP_62:who reads and writes is in Cloud Audit Logs, which the project keeps; a bucket of access logs would repeat them
  name                        = local.names.bucket
  location                    = var.location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  # A load replaces the month's objects; the replaced ones are kept as noncurrent versions for keep_days.
  versioning {
    enabled = true
  }

  # Soft delete would keep, and bill, every replaced object for another week.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = module.rules.keep_days
      with_state                 = "ARCHIVED"
    }
    action {
      type = "Delete"
    }
  }

  # versions/ holds each refined version of a month; the current one is copied to trips/, quarantine/ and quality/,
  # and raw/ keeps what any version is rebuilt from.
  lifecycle_rule {
    condition {
      age            = module.rules.version_days
      matches_prefix = ["versions/"]
      with_state     = "LIVE"
    }
    action {
      type = "Delete"
    }
  }

  # Files in the inbox are loaded within minutes. `transfer.tf` must not copy older files, or a file that this rule
  # deletes would come back the next day.
  lifecycle_rule {
    condition {
      age            = module.rules.inbox_days
      matches_prefix = ["inbox/"]
      with_state     = "LIVE"
    }
    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      age = 7
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  depends_on = [google_project_service.needed]
}
