"""Google Cloud Storage, or the embedded emulator if no bucket is configured."""
