terraform {
  required_version = ">= 1.7"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.14, < 8.0"
    }
  }

  # Keep the state where the team finds it: terraform init -backend-config="bucket=..." -backend-config="prefix=taxi"
  backend "gcs" {}
}

provider "google" {
  project = var.project
  region  = var.location
}
