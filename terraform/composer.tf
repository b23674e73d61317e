resource "google_composer_environment" "airflow" {
  name   = local.names.composer
  region = var.location

  config {
    environment_size = module.rules.environment_size

    node_config {
      service_account = google_service_account.worker.name # cannot be changed later
    }

    software_config {
      image_version = module.rules.composer_image

      airflow_config_overrides = module.rules.airflow_config
      env_variables            = module.rules.airflow_variables
    }

    # A month in work takes a core, 450 MB of memory and, as scratch, its own size uncompressed.
    workloads_config {
      scheduler {
        cpu        = 0.5
        memory_gb  = 2
        storage_gb = 1
        count      = 1
      }
      dag_processor {
        cpu        = 1
        memory_gb  = 4
        storage_gb = 1
        count      = 1
      }
      web_server {
        cpu        = 1
        memory_gb  = 4
        storage_gb = 1
      }
      triggerer {
        cpu       = 0.5
        memory_gb = 1
        count     = 1
      }
      worker {
        cpu        = 2
        memory_gb  = 8
        storage_gb = 10
        min_count  = var.workers.min
        max_count  = var.workers.max
      }
    }

    web_server_network_access_control {
      dynamic "allowed_ip_range" {
        for_each = var.web_server_readers
        content {
          value       = allowed_ip_range.value.value
          description = allowed_ip_range.value.description
        }
      }
    }

    maintenance_window {
      start_time = "2026-01-03T00:00:00Z"
      end_time   = "2026-01-03T06:00:00Z"
      recurrence = "FREQ=WEEKLY;BYDAY=SA,SU"
    }

    recovery_config {
      scheduled_snapshots_config {
        enabled                    = module.rules.protected
        snapshot_location          = "gs://${google_storage_bucket.trips.name}/composer-snapshots"
        snapshot_creation_schedule = "0 4 * * *"
        time_zone                  = "UTC"
      }
    }
  }

  lifecycle {
    # `make composer-deploy` sets them
    ignore_changes = [config[0].software_config[0].pypi_packages]
  }

  depends_on = [
    google_project_service.needed,
    google_project_iam_member.worker,
    google_storage_bucket_iam_member.worker, # snapshots are written to the bucket
  ]
}
