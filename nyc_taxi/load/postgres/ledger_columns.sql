-- Columns that ledgers of earlier versions lack, and the view over all columns; may be run at any time.
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS rules text;
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS accepted text;

COMMENT ON COLUMN ledger.rules IS 'Fingerprint of the rules by which the month was cleaned.';
COMMENT ON COLUMN ledger.accepted IS 'What was implausible about the month, if it was loaded with --accept.';

CREATE OR REPLACE VIEW ledger_current AS
SELECT DISTINCT ON (service, month) *
FROM ledger
ORDER BY service, month, id DESC;

COMMENT ON VIEW ledger_current IS 'The load in force of each service and month.';
