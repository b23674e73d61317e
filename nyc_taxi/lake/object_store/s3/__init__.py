"""Amazon S3, or a compatible store (AWS_ENDPOINT): MinIO, R2, Ceph and others."""
