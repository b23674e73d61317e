"""Google Cloud Storage, or the embedded server where no bucket is configured."""
