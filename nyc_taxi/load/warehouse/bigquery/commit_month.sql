-- Put a staged month in place of the one that is there, and record it: all or nothing.
--
-- BigQuery cancels a transaction that changes or deletes rows of a table while another one does. Adding
-- rows is no such change, so two first loads of one month could both succeed; therefore every load
-- begins with changing the one row of commit_lock.
INSERT INTO {commit_lock} (run_id)
SELECT '' FROM (SELECT 1) WHERE NOT EXISTS (SELECT 1 FROM {commit_lock});

BEGIN TRANSACTION;

UPDATE {commit_lock} SET run_id = @run_id, taken_at = CURRENT_TIMESTAMP() WHERE TRUE;

-- another run may have committed this very version since this one looked
IF NOT EXISTS (
    SELECT 1 FROM {ledger_current} WHERE service = @service AND month = @month AND version = @version
) THEN
    DELETE FROM {trips} WHERE month = @month;
    INSERT INTO {trips} (month, {trips_columns})
    SELECT @month, {trips_columns} FROM {trips_staged};
    ASSERT (SELECT COUNT(*) FROM {trips} WHERE month = @month) = @rows_loaded
        AS 'the trips are not as many as the month says';

    DELETE FROM {quarantine} WHERE month = @month;
    INSERT INTO {quarantine} (month, {quarantine_columns})
    SELECT @month, {quarantine_columns} FROM {quarantine_staged};
    ASSERT (SELECT COUNT(*) FROM {quarantine} WHERE month = @month) = @rows_quarantined
        AS 'the quarantined rows are not as many as the month says';

    DELETE FROM {quality} WHERE service = @service AND month = @month;
    INSERT INTO {quality} (service, month, {quality_columns})
    SELECT @service, @month, {quality_columns} FROM {quality_staged};

    INSERT INTO {ledger} (id, {ledger_columns})
    SELECT (SELECT IFNULL(MAX(id), 0) + 1 FROM {ledger}), {ledger_values};
END IF;

COMMIT TRANSACTION;

DROP TABLE IF EXISTS {trips_staged};
DROP TABLE IF EXISTS {quarantine_staged};
DROP TABLE IF EXISTS {quality_staged};
