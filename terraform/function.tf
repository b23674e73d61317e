# The Cloud Function that starts taxi_ingest for a trip file written below inbox/, and its trigger.
data "archive_file" "new_object" {
  type        = "zip"
  output_path = "${path.root}/.terraform/taxi-new-object.zip"

  dynamic "source" {
    for_each = toset(["main.py", "requirements.txt"])
    content {
      filename = source.value
      content  = file("${path.module}/../airflow_project/cloud_function/${source.value}")
    }
  }
}

# The name holds the content's checksum, so that changed code is a new object and the function is built again.
resource "google_storage_bucket_object" "new_object" {
  name   = "functions/taxi-new-object-${data.archive_file.new_object.output_md5}.zip"
  bucket = google_storage_bucket.trips.name
  source = data.archive_file.new_object.output_path
}

resource "google_cloudfunctions2_function" "new_object" {
  name        = local.names.function
  location    = var.location
  description = "Starts taxi_ingest for a trip file in the inbox"

  build_config {
    runtime         = "python311"
    entry_point     = "new_object"
    service_account = google_service_account.builder.id

    source {
      storage_source {
        bucket = google_storage_bucket.trips.name
        object = google_storage_bucket_object.new_object.name
      }
    }
  }

  service_config {
    service_account_email          = google_service_account.events.email
    available_memory               = "256M"
    timeout_seconds                = 120 # longer than the 60 s that the function waits for Airflow
    max_instance_count             = 4
    ingress_settings               = "ALLOW_INTERNAL_ONLY" # Eventarc counts as internal
    all_traffic_on_latest_revision = true

    environment_variables = {
      AIRFLOW_URL = google_composer_environment.airflow.config[0].airflow_uri
      AIRFLOW_API = module.rules.airflow_api
    }
  }

  event_trigger {
    trigger_region        = var.location
    event_type            = "google.cloud.storage.object.v1.finalized"
    service_account_email = google_service_account.events.email
    retry_policy          = "RETRY_POLICY_RETRY" # Airflow may be down for a while

    event_filters {
      attribute = "bucket"
      value     = google_storage_bucket.trips.name
    }
  }

  depends_on = [
    google_project_service.needed,
    google_project_iam_member.announcements,
    google_project_iam_member.builder,
    google_project_iam_member.events,
  ]
}
