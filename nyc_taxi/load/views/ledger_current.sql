-- The load in force of each service and month.
SELECT {ledger_columns}
FROM (
    SELECT
        {ledger_columns},
        ROW_NUMBER() OVER (PARTITION BY service, month ORDER BY id DESC) AS recency
    FROM {ledger}
) AS loads
WHERE recency = 1 AND COALESCE(action, 'load') = 'load'
