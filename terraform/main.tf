# What the flows need on Google Cloud. Names, sets of roles and the rules for versions are in modules/rules,
# which needs no provider, so that `terraform test` checks them anywhere.

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

resource "google_project_service" "needed" {
  for_each = module.rules.services

  service            = each.key
  disable_on_destroy = false
}
