# Names, sets of roles, settings and the rules for versions: plain data, no provider.

terraform {
  required_version = ">= 1.7"
}

locals {
  suffix     = var.environment
  protected  = var.environment == "prod"
  underlined = replace(local.suffix, "-", "_")
}
