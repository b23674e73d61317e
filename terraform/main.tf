# What the flows need on Google Cloud. Names, roles and the rules for versions are in modules/rules, which uses no
# provider, so that `terraform test` runs without credentials.

module "rules" {
  source = "./modules/rules"

  project        = var.project
  environment    = var.environment
  location       = var.location
  composer_image = var.composer_image
  workers        = var.workers
}

locals {
  names = module.rules.names
}

# Every resource and data source depends on these, directly or through a reference: on a new project the APIs are off.
resource "google_project_service" "needed" {
  for_each = module.rules.services

  service            = each.key
  disable_on_destroy = false
}
