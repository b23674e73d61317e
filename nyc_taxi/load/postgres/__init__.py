"""Postgres: one table per service, partitioned by month, and a ledger of what each partition holds."""
