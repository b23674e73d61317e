output "names" {
  description = "Of everything that is made."
  value = {
    bucket      = "${var.project}-taxi-${local.suffix}"
    composer    = "taxi-${local.suffix}"
    sql         = "bikeshare-${local.suffix}"
    worker      = "taxi-airflow-${local.suffix}"
    events      = "taxi-events-${local.suffix}"
    export_role = "taxiExport_${local.underlined}"
    datasets = {
      trips     = "taxi_${local.underlined}"
      bikeshare = "taxi_${local.underlined}_bikeshare"
    }
  }
}

output "dataset_descriptions" {
  description = "By the datasets' keys."
  value = {
    trips     = "Trips of New York's taxis as TLC publishes them, judged row by row; see docs/analyst.md"
    bikeshare = "Stations and trips of a bike-share, day by day; see docs/bikeshare.md"
  }
}

output "services" {
  description = "APIs that must be on."
  value = toset([
    "bigquery.googleapis.com",
    "composer.googleapis.com",
    "eventarc.googleapis.com",
    "secretmanager.googleapis.com",
    "sqladmin.googleapis.com",
    "storagetransfer.googleapis.com",
  ])
}

output "roles" {
  description = "Roles by who has them; docs/composer.md says what for. Roles on single buckets, datasets and secrets stand beside these."
  value = {
    worker = toset([
      "roles/composer.worker",
      "roles/bigquery.jobUser",
      "roles/storagetransfer.user",
    ])
    events   = toset(["roles/composer.user", "roles/eventarc.eventReceiver", "roles/run.invoker"])
    transfer = toset(["roles/storage.legacyBucketWriter", "roles/storage.objectViewer"])

    admin     = toset(["roles/composer.admin", "roles/composer.environmentAndStorageObjectAdmin"])
    developer = toset(["roles/composer.user", "roles/composer.environmentAndStorageObjectUser"])
    viewer    = toset(["roles/composer.environmentAndStorageObjectViewer"])
    user      = toset(["roles/composer.user"])
  }
}

output "export_permissions" {
  description = "What an export by Cloud SQL needs of the account that asks for it."
  value       = ["cloudsql.instances.export", "cloudsql.instances.get"]
}

output "connections" {
  description = "Airflow connections whose secrets are made; their values are put in by hand."
  value       = toset(["taxi_postgres", "taxi_s3"])
}

output "settings" {
  description = "The Airflow Variable `taxi`: settings as in .env.example."
  value = {
    TAXI_DESTINATIONS      = "gcs,bigquery"
    GCS_BUCKET             = "${var.project}-taxi-${local.suffix}"
    BIGQUERY_DATASET       = "taxi_${local.underlined}"
    GOOGLE_CLOUD_PROJECT   = var.project
    TAXI_BIKESHARE_EXTRACT = "export"
    TAXI_BIKESHARE_ESCAPE  = "5C"
    CLOUD_SQL_INSTANCE     = "bikeshare-${local.suffix}"
  }
}

output "airflow_variables" {
  description = "Environment variables of all of Airflow: what is read while DAG files are."
  value       = { TAXI_PARALLEL_MONTHS = tostring(2 * var.workers.max) }
}

output "airflow_config" {
  description = "Airflow's options that differ from Composer's defaults."
  value = {
    "secrets-backend"                  = "airflow.providers.google.cloud.secrets.secret_manager.CloudSecretManagerBackend"
    "secrets-backend_kwargs"           = jsonencode({ project_id = var.project })
    "celery-worker_concurrency"        = "4"
    "core-dagbag_import_timeout"       = "120"
    "core-dags_are_paused_at_creation" = "True"
  }
}

output "composer_image" {
  description = "As given, and checked."
  value       = var.composer_image
}

output "environment_size" {
  description = "Of Composer's own parts."
  value       = local.protected ? "ENVIRONMENT_SIZE_MEDIUM" : "ENVIRONMENT_SIZE_SMALL"
}

output "protected" {
  description = "Whether deletion is refused and snapshots are taken."
  value       = local.protected
}

output "keep_days" {
  description = "Days for which replaced objects are kept."
  value       = local.protected ? 90 : 7
}
