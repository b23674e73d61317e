-- Put a staged month in place of the one that is there, and record it; within a transaction.
--
-- Another run may have committed this very version since this one looked.
IF NOT EXISTS (
    SELECT 1 FROM {ledger_current}
    WHERE service = @service AND month = @month AND version = @version AND finished_at != @damaged_at
) THEN
    DELETE FROM {trips} WHERE month = @month;
    INSERT INTO {trips} (month, {trips_columns})
    SELECT @month, {trips_columns} FROM {trips_staged};
    SELECT IF(
        (SELECT COUNT(*) FROM {trips} WHERE month = @month) = @rows_loaded,
        0,
        ERROR('the trips are not as many as the month says')
    );

    DELETE FROM {quarantine} WHERE month = @month;
    INSERT INTO {quarantine} (month, {quarantine_columns})
    SELECT @month, {quarantine_columns} FROM {quarantine_staged};
    SELECT IF(
        (SELECT COUNT(*) FROM {quarantine} WHERE month = @month) = @rows_quarantined,
        0,
        ERROR('the quarantined rows are not as many as the month says')
    );

    -- The table is shared by all services. BigQuery cancels a transaction that deletes rows of a table from
    -- which another one deletes, but not two that only add rows.
    IF EXISTS (SELECT 1 FROM {quality} WHERE service = @service AND month = @month) THEN
        DELETE FROM {quality} WHERE service = @service AND month = @month;
    END IF;
    INSERT INTO {quality} (service, month, {quality_columns})
    SELECT @service, @month, {quality_columns} FROM {quality_staged};

    {insert_ledger_entry};
END IF
