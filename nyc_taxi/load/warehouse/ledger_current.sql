-- The load in force of each service and month.
SELECT {ledger_columns}
FROM (
    SELECT {ledger_columns}
    FROM {ledger}
    WHERE TRUE
    QUALIFY ROW_NUMBER() OVER (PARTITION BY service, month ORDER BY id DESC) = 1
)
WHERE COALESCE(action, 'load') = 'load'
