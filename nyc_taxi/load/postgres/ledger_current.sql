CREATE OR REPLACE VIEW ledger_current AS
SELECT *
FROM (SELECT DISTINCT ON (service, month) * FROM ledger ORDER BY service, month, id DESC) AS latest
WHERE coalesce(action, 'load') = 'load';

COMMENT ON VIEW ledger_current IS 'The load in force of each service and month.';
