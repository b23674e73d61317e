output "names" {
  description = "Names of the resources."
  value = {
    bucket        = "${var.project}-taxi-${local.suffix}"
    composer      = "taxi-${local.suffix}"
    sql           = "bikeshare-${local.suffix}"
    function      = "taxi-new-object-${local.suffix}"
    worker        = "taxi-airflow-${local.suffix}"
    events        = "taxi-events-${local.suffix}"
    builder       = "taxi-builder-${local.suffix}"
    export_role   = "taxiExport_${local.underlined}"
    transfer_role = "taxiTransfer_${local.underlined}"
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
  description = "APIs that must be enabled. A function of the second generation needs six of them."
  value = toset([
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "composer.googleapis.com",
    "eventarc.googleapis.com",
    "iam.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "serviceusage.googleapis.com",
    "sqladmin.googleapis.com",
    "storage.googleapis.com",
    "storagetransfer.googleapis.com",
  ])
}

output "roles" {
  description = "Roles by who has them; docs/composer.md says what for. Those of worker_bucket and transfer are granted on the bucket, the others on the project."
  value = {
    worker = toset([
      "roles/composer.worker",
      "roles/bigquery.jobUser",
      "roles/storagetransfer.user",
    ])
    # legacyBucketReader has storage.buckets.get, which BigQuery needs to load from the bucket
    worker_bucket = toset(["roles/storage.objectUser", "roles/storage.legacyBucketReader"])

    events   = toset(["roles/composer.user", "roles/eventarc.eventReceiver", "roles/run.invoker"])
    builder  = toset(["roles/cloudbuild.builds.builder"])
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

output "transfer_permissions" {
  description = "What roles/storagetransfer.user lacks to delete a job."
  value       = ["storagetransfer.jobs.delete"]
}

output "connections" {
  description = "Airflow connections that get an empty secret; add their values by hand."
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
  description = "Days for which replaced and deleted objects are kept as noncurrent versions."
  value       = local.protected ? 90 : 7
}

output "version_days" {
  description = "Age in days at which an object below versions/ is deleted."
  value       = local.protected ? 90 : 30
}

output "inbox_days" {
  description = "Age in days at which a file in the inbox is deleted."
  value       = 30
}

output "transfer_days" {
  description = "The daily transfer copies files of S3 that were modified within so many days; fewer than inbox_days."
  value       = 21
}

output "airflow_api" {
  description = "Version of Airflow's REST API in the image: v2 for Airflow 3, v1 for Airflow 2."
  value       = can(regex("-airflow-2\\.", var.composer_image)) ? "v1" : "v2"
}
