variable "project" {
  description = "See the root module."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project is a project's id: 6 to 30 small letters, digits and hyphens."
  }
}

variable "environment" {
  description = "See the root module."
  type        = string

  validation {
    condition     = contains(["dev", "prod"], var.environment)
    error_message = "environment is dev or prod."
  }
}

variable "location" {
  description = "See the root module."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.location))
    error_message = "location is a region such as us-central1: Composer knows no multi-regions, and BigQuery reads a bucket in its own location only."
  }
}

variable "composer_image" {
  description = "See the root module."
  type        = string

  # An alias such as composer-3-airflow-3 would become another version one day without being asked.
  validation {
    condition     = can(regex("^composer-3-airflow-[0-9]+\\.[0-9]+\\.[0-9]+-build\\.[0-9]+$", var.composer_image))
    error_message = "composer_image names one build of Composer 3, such as composer-3-airflow-3.3.1-build.0."
  }

  validation {
    condition     = can(regex("-airflow-(3\\.([1-9]|[1-9][0-9])|2\\.11)\\.", var.composer_image))
    error_message = "The DAGs are tested on Airflow 3.3 and 2.11: take an image with Airflow 3.1 or newer, or 2.11."
  }
}

variable "workers" {
  description = "See the root module."
  type        = object({ min = number, max = number })

  validation {
    condition     = 1 <= var.workers.min && var.workers.min <= var.workers.max && var.workers.max <= 100
    error_message = "workers: 1 <= min <= max <= 100."
  }
}
