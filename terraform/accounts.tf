# Three accounts: tasks run as the first, the Cloud Function as the second, and the third builds the function.
# Each has the roles that module.rules lists, and no others.
resource "google_service_account" "worker" {
  account_id   = local.names.worker
  display_name = "Taxi: Airflow workers"

  depends_on = [google_project_service.needed]
}

resource "google_service_account" "events" {
  account_id   = local.names.events
  display_name = "Taxi: starts a load for a new object"

  depends_on = [google_project_service.needed]
}

# In projects made since 2024 the default account of Cloud Build may not build functions.
resource "google_service_account" "builder" {
  account_id   = local.names.builder
  display_name = "Taxi: builds the Cloud Function"

  depends_on = [google_project_service.needed]
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

resource "google_project_iam_member" "builder" {
  for_each = module.rules.roles.builder

  project = var.project
  role    = each.value
  member  = google_service_account.builder.member
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

  depends_on = [google_project_service.needed]
}

# An admin assigns the environment its account, and may act as that account only.
resource "google_service_account_iam_member" "admin" {
  for_each = toset(var.people.admin)

  service_account_id = google_service_account.worker.name
  role               = "roles/iam.serviceAccountUser"
  member             = each.value
}

resource "google_storage_bucket_iam_member" "worker" {
  for_each = module.rules.roles.worker_bucket

  bucket = google_storage_bucket.trips.name
  role   = each.value
  member = google_service_account.worker.member
}

# No predefined role deletes transfer jobs without the right to administer all of them; the DAG s3_to_gcs_transfer
# deletes the job that it made.
resource "google_project_iam_custom_role" "transfer" {
  role_id     = local.names.transfer_role
  title       = "Taxi: delete transfer jobs"
  permissions = module.rules.transfer_permissions

  depends_on = [google_project_service.needed]
}

resource "google_project_iam_member" "transfer" {
  project = var.project
  role    = google_project_iam_custom_role.transfer.name
  member  = google_service_account.worker.member
}

# Cloud Storage publishes the bucket's events to Pub/Sub as its own account.
data "google_storage_project_service_account" "storage" {
  depends_on = [google_project_service.needed]
}

resource "google_project_iam_member" "announcements" {
  project = var.project
  role    = "roles/pubsub.publisher"
  member  = data.google_storage_project_service_account.storage.member
}
