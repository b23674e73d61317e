# One account that tasks run as, one for the function; each has what module.rules lists, and no more.
resource "google_service_account" "worker" {
  account_id   = local.names.worker
  display_name = "Taxi: Airflow's workers"
}

resource "google_service_account" "events" {
  account_id   = local.names.events
  display_name = "Taxi: starts a load for a new object"
}

resource "google_project_iam_member" "worker" {
  for_each = module.rules.roles.worker

  project = var.project
  role    = each.value
  member  = google_service_account.worker.member
}

resource "google_project_iam_member" "events" {
  for_each = module.rules.roles.events

  project = var.project
  role    = each.value
  member  = google_service_account.events.member
}

resource "google_project_iam_member" "people" {
  for_each = merge([
    for kind, members in var.people : {
      for pair in setproduct(members, module.rules.roles[kind]) : join(" ", pair) => pair
    }
  ]...)

  project = var.project
  role    = each.value[1]
  member  = each.value[0]
}

# Whoever deploys gives the environment its account, and may act as that one account only.
resource "google_service_account_iam_member" "admin" {
  for_each = toset(var.people.admin)

  service_account_id = google_service_account.worker.name
  role               = "roles/iam.serviceAccountUser"
  member             = each.value
}

resource "google_storage_bucket_iam_member" "worker" {
  bucket = google_storage_bucket.trips.name
  role   = "roles/storage.objectUser"
  member = google_service_account.worker.member
}

# The bucket announces new objects through Pub/Sub.
data "google_storage_project_service_account" "storage" {}

resource "google_project_iam_member" "announcements" {
  project = var.project
  role    = "roles/pubsub.publisher"
  member  = data.google_storage_project_service_account.storage.member
}
