terraform {
  required_version = ">= 1.7"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50" # the arguments are checked against the schema of 6.50.0
    }
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.7"
    }
  }

  # Keep the state in a bucket that the team shares: terraform init -backend-config="bucket=..." -backend-config="prefix=taxi"
  backend "gcs" {}
}

provider "google" {
  project = var.project
  region  = var.location
}
