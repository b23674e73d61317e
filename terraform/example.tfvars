project        = "my-project"
environment    = "dev"
location       = "us-central1"
composer_image = "composer-3-airflow-3.3.1-build.0"

web_server_readers = [{ value = "203.0.113.0/24", description = "our office" }]

people = {
  admin     = ["group:platform@example.com"]
  developer = ["group:data@example.com"]
}
