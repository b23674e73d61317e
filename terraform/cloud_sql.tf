# The application's database of the bike-share flow. It has no public address: the flow has Cloud SQL export tables
# to the bucket, and the application connects through Private Service Connect.
resource "google_sql_database_instance" "bikeshare" {
  count = var.bikeshare ? 1 : 0

  name                = local.names.sql
  region              = var.location
  database_version    = "MYSQL_8_4"
  deletion_protection = module.rules.protected

  settings {
    tier    = "db-g1-small"
    edition = "ENTERPRISE"

    backup_configuration {
      enabled            = true
      binary_log_enabled = true
    }

    ip_configuration {
      ipv4_enabled = false
      ssl_mode     = "TRUSTED_CLIENT_CERTIFICATE_REQUIRED" # the Auth Proxy brings one

      psc_config {
        psc_enabled               = true
        allowed_consumer_projects = [var.project]
      }
    }

    database_flags {
      name  = "local_infile"
      value = "off"
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_sql_database" "bikeshare" {
  count = var.bikeshare ? 1 : 0

  name     = "bikeshare"
  instance = google_sql_database_instance.bikeshare[0].name
}

# The instance writes its exports as its own account.
resource "google_storage_bucket_iam_member" "exports" {
  count = var.bikeshare ? 1 : 0

  bucket = google_storage_bucket.trips.name
  role   = "roles/storage.objectAdmin"
  member = "serviceAccount:${google_sql_database_instance.bikeshare[0].service_account_email_address}"
}

# No predefined role allows exports without allowing changes to instances.
resource "google_project_iam_custom_role" "export" {
  count = var.bikeshare ? 1 : 0

  role_id     = local.names.export_role
  title       = "Taxi: Cloud SQL exports"
  permissions = module.rules.export_permissions

  depends_on = [google_project_service.needed]
}

resource "google_project_iam_member" "export" {
  count = var.bikeshare ? 1 : 0

  project = var.project
  role    = google_project_iam_custom_role.export[0].name
  member  = google_service_account.worker.member
}
