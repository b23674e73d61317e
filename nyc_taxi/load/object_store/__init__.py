"""Object stores: a month is a few objects below hive partitions, in GCS and in S3 alike."""
