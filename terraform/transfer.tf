# Every day what is new in a bucket of S3 comes into the inbox, where the function finds it. For a copy that is
# made once there is the DAG s3_to_gcs_transfer.
data "google_storage_transfer_project_service_account" "agent" {}

resource "google_storage_bucket_iam_member" "transfer" {
  for_each = module.rules.roles.transfer

  bucket = google_storage_bucket.trips.name
  role   = each.value
  member = data.google_storage_transfer_project_service_account.agent.member
}

resource "google_storage_transfer_job" "s3" {
  count = var.transfer == null ? 0 : 1

  description = "Taxi: S3 to the inbox"

  transfer_spec {
    aws_s3_data_source {
      bucket_name = var.transfer.bucket
      path        = var.transfer.path
      role_arn    = var.transfer.role_arn
    }
    gcs_data_sink {
      bucket_name = google_storage_bucket.trips.name
      path        = "inbox/"
    }
    transfer_options {
      overwrite_objects_already_existing_in_sink = false
      delete_objects_unique_in_sink              = false
    }
  }

  schedule {
    schedule_start_date {
      year  = 2026
      month = 1
      day   = 1
    }
    start_time_of_day {
      hours   = 5
      minutes = 0
      seconds = 0
      nanos   = 0
    }
  }

  depends_on = [google_storage_bucket_iam_member.transfer]
}
