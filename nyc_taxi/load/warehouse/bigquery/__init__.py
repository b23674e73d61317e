"""BigQuery: one table per service, partitioned by month, and a ledger of what each month holds."""
