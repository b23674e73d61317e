# The flows create the tables. Both datasets must exist, in the bucket's location.
resource "google_bigquery_dataset" "warehouse" {
  #checkov:skip=CKV_GCP_81:the trips are published by TLC; Google's own keys encrypt them
  for_each = local.names.datasets

  dataset_id                 = each.value
  location                   = var.location
  description                = module.rules.dataset_descriptions[each.key]
  delete_contents_on_destroy = false

  depends_on = [google_project_service.needed]
}

resource "google_bigquery_dataset_iam_member" "worker" {
  for_each = google_bigquery_dataset.warehouse

  dataset_id = each.value.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = google_service_account.worker.member
}
