-- Quarantined rows by service, month and rule, and their share of the file's rows. A row that several rules match
-- counts for the first of them. From the quality report, so that it reads no rows of files.
SELECT
    quarantined.service,
    quarantined.month,
    quarantined.subject AS rule,
    CAST(quarantined.value AS {int64}) AS quarantined_rows,
    quarantined.value / files.value AS share
FROM {quality} AS quarantined
JOIN {quality} AS files ON files.service = quarantined.service AND files.month = quarantined.month
WHERE quarantined.month >= DATE '2009-01-01'
    AND files.month >= DATE '2009-01-01'
    AND quarantined.measure = 'quarantined'
    AND quarantined.subject <> ''
    AND files.measure = 'rows_in'
