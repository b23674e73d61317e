variable "project" {
  description = "The Google Cloud project that everything is made in."
  type        = string
}

variable "environment" {
  description = "dev or prod: part of every name, and how much is kept and protected."
  type        = string
}

variable "location" {
  description = "Region of the bucket, the datasets, the environment and the instance, such as us-central1."
  type        = string
}

variable "composer_image" {
  description = "Image of the environment; its builds are listed in the release notes of Composer."
  type        = string
}

variable "workers" {
  description = "Fewest and most Airflow workers; a worker works on two months at once."
  type        = object({ min = number, max = number })
  default     = { min = 1, max = 4 }
}

variable "web_server_readers" {
  description = "Networks (CIDR) from which Airflow's pages and REST API may be reached; IAM decides besides."
  type        = list(object({ value = string, description = string }))
}

variable "people" {
  description = "Who may do what with the environment: lists of members (user:..., group:...) by kind."
  type = object({
    admin     = optional(list(string), [])
    developer = optional(list(string), [])
    viewer    = optional(list(string), [])
    user      = optional(list(string), [])
  })
  default = {}
}

variable "bikeshare" {
  description = "Whether to make the Cloud SQL instance of the bike-share flow."
  type        = bool
  default     = true
}

variable "transfer" {
  description = "A bucket of S3 that is copied into the inbox every day, with the AWS role that trusts Google; null: none."
  type        = object({ bucket = string, path = optional(string, ""), role_arn = string })
  default     = null
}
