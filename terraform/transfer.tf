# Once a day, copies new objects of an S3 bucket to the inbox, where they start loads. To copy once, run the DAG
# s3_to_gcs_transfer.
data "google_storage_transfer_project_service_account" "agent" {
  depends_on = [google_project_service.needed]
}

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
    # The job compares source and sink. Without this condition it would copy every file again that the inbox's
    # lifecycle rule has deleted.
    object_conditions {
      max_time_elapsed_since_last_modification = "${module.rules.transfer_days * 24 * 3600}s"
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
