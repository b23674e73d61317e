# Airflow finds its Variable `taxi` and its connections in Secret Manager, by these names.

# Settings, no secrets: which bucket, which dataset. (GCS_BUCKET cannot be an environment variable: on Composer
# that name is the environment's own bucket.)
resource "google_secret_manager_secret" "settings" {
  secret_id = "airflow-variables-taxi"

  replication {
    user_managed {
      replicas {
        location = var.location
      }
    }
  }
}

resource "google_secret_manager_secret_version" "settings" {
  secret      = google_secret_manager_secret.settings.id
  secret_data = jsonencode(module.rules.settings)
}

# Their values are put in by hand, so that they are in no state file:
#   gcloud secrets versions add airflow-connections-taxi_postgres --data-file=-
resource "google_secret_manager_secret" "connection" {
  for_each = module.rules.connections

  secret_id = "airflow-connections-${each.key}"

  replication {
    user_managed {
      replicas {
        location = var.location
      }
    }
  }
}

resource "google_secret_manager_secret_iam_member" "worker" {
  for_each = merge({ settings = google_secret_manager_secret.settings }, google_secret_manager_secret.connection)

  secret_id = each.value.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.worker.member
}
