# Trips, zones and the bike-share's files; below inbox/ the files that start a load.
resource "google_storage_bucket" "trips" {
  #checkov:skip=CKV_GCP_62:who reads and writes is in Cloud Audit Logs, which the project keeps; a bucket of access logs would repeat them
  name                        = local.names.bucket
  location                    = var.location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  # A month that is loaded again replaces its objects: what was there before can be brought back for a while.
  versioning {
    enabled = true
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

  # Files in the inbox are loaded within minutes; what they held is under trips/ then.
  lifecycle_rule {
    condition {
      age            = 30
      matches_prefix = ["inbox/"]
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
}
