output "deploy" {
  description = "The command that brings the DAGs onto the environment."
  value       = "make composer-deploy ENVIRONMENT=${google_composer_environment.airflow.name} LOCATION=${var.location} GCP_PROJECT=${var.project}"
}

output "airflow" {
  description = "Airflow's pages and REST API."
  value       = google_composer_environment.airflow.config[0].airflow_uri
}

output "bucket" {
  description = "Trips, the bike-share's files and the inbox."
  value       = google_storage_bucket.trips.name
}

output "function" {
  description = "The Cloud Function that starts a load for a new object."
  value       = google_cloudfunctions2_function.new_object.name
}
