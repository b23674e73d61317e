# Airflow reads its Variable `taxi` and its connections from Secret Manager, by these names.

# Settings, not secrets: bucket, datasets. (GCS_BUCKET cannot be an environment variable: Composer sets that name
# to the environment's own bucket.)
resource "google_secret_manager_secret" "settings" {
  secret_id = "airflow-variables-taxi"

  replication {
    user_managed {
      replicas {
        location = var.location
      }
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_secret_manager_secret_version" "settings" {
  secret      = google_secret_manager_secret.settings.id
  secret_data = jsonencode(module.rules.settings)
}

# Add their values by hand, which keeps them out of the state file:
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

  depends_on = [google_project_service.needed]
}

resource "google_secret_manager_secret_iam_member" "worker" {
  for_each = merge({ settings = google_secret_manager_secret.settings }, google_secret_manager_secret.connection)

  secret_id = each.value.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.worker.member
}
