"""Amazon S3, or a store that speaks its protocol (AWS_ENDPOINT): MinIO, R2, Ceph and others."""
