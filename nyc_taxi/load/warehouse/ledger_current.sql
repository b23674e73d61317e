-- The load in force of each service and month.
SELECT *
FROM {ledger}
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY service, month ORDER BY id DESC) = 1
