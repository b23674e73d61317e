variables {
  project        = "my-project"
  environment    = "prod"
  location       = "us-central1"
  composer_image = "composer-3-airflow-3.3.1-build.0"
  workers        = { min = 1, max = 4 }
}

run "names_say_project_and_environment" {
  command = plan

  assert {
    condition     = output.names.bucket == "my-project-taxi-prod" && output.names.datasets.trips == "taxi_prod"
    error_message = "Unexpected names."
  }
  assert {
    condition     = alltrue([for name in [output.names.worker, output.names.events, output.names.builder] : length(name) <= 30])
    error_message = "An account's name may have 30 characters."
  }
  assert {
    condition     = output.settings.GCS_BUCKET == output.names.bucket && output.settings.BIGQUERY_DATASET == output.names.datasets.trips
    error_message = "The settings lead elsewhere."
  }
  assert {
    condition     = output.names.datasets.bikeshare == "${output.settings.BIGQUERY_DATASET}_bikeshare"
    error_message = "The flow looks for the bike-share's dataset under another name."
  }
}

run "prod_is_protected" {
  command = plan

  assert {
    condition     = output.protected && output.keep_days == 90
    error_message = "prod must be protected."
  }
}

run "airflow_3_serves_v2" {
  command = plan

  assert {
    condition     = output.airflow_api == "v2"
    error_message = "Airflow 3 serves its REST API as v2."
  }
}

run "dev_is_not" {
  command = plan

  variables {
    environment = "dev"
  }

  assert {
    condition     = !output.protected && output.environment_size == "ENVIRONMENT_SIZE_SMALL"
    error_message = "dev must be small."
  }
}

run "no_account_may_do_everything" {
  command = plan

  assert {
    condition = alltrue([
      for role in flatten([for kind, roles in output.roles : tolist(roles)]) :
      !contains(["roles/owner", "roles/editor", "roles/storage.admin", "roles/bigquery.admin", "roles/cloudsql.admin"], role)
    ])
    error_message = "A role is far too broad."
  }
  assert {
    condition     = !contains(output.roles.worker, "roles/composer.admin") && length(output.roles.worker) == 3
    error_message = "Workers have more roles than they need."
  }
}

run "a_file_that_left_the_inbox_does_not_come_back" {
  command = plan

  assert {
    condition     = output.transfer_days < output.inbox_days
    error_message = "The daily transfer would copy files again that the inbox's lifecycle rule deletes."
  }
}

run "bigquery_may_load_from_the_bucket" {
  command = plan

  assert {
    condition     = contains(output.roles.worker_bucket, "roles/storage.legacyBucketReader")
    error_message = "Loading from a bucket needs storage.buckets.get, which roles/storage.objectUser lacks."
  }
}

run "environment_variables_are_not_reserved" {
  command = plan

  assert {
    condition     = alltrue([for name in keys(output.airflow_variables) : !contains(["GCS_BUCKET", "GCP_PROJECT", "DAGS_FOLDER"], name)])
    error_message = "Composer keeps this name for itself."
  }
}

run "airflow_2_11_is_allowed" {
  command = plan

  variables {
    composer_image = "composer-3-airflow-2.11.1-build.2"
  }

  assert {
    condition     = output.airflow_api == "v1"
    error_message = "Airflow 2 serves its REST API as v1."
  }
}

run "an_alias_is_refused" {
  command = plan

  variables {
    composer_image = "composer-3-airflow-3"
  }
  expect_failures = [var.composer_image]
}

run "composer_2_is_refused" {
  command = plan

  variables {
    composer_image = "composer-2.9.7-airflow-2.11.1"
  }
  expect_failures = [var.composer_image]
}

run "an_untested_airflow_is_refused" {
  command = plan

  variables {
    composer_image = "composer-3-airflow-2.10.5-build.1"
  }
  expect_failures = [var.composer_image]
}

run "a_multi_region_is_refused" {
  command = plan

  variables {
    location = "US"
  }
  expect_failures = [var.location]
}

run "an_unknown_environment_is_refused" {
  command = plan

  variables {
    environment = "staging"
  }
  expect_failures = [var.environment]
}

run "no_workers_is_refused" {
  command = plan

  variables {
    workers = { min = 0, max = 4 }
  }
  expect_failures = [var.workers]
}
