-- Yellow and green trips together, with the columns both have. Name a range of `month` to read only that.
SELECT
    'yellow' AS service,
    {columns}
FROM {trips_yellow}
WHERE month >= DATE '2009-01-01' -- all of them: a table that requires a filter of its readers gets one
UNION ALL
SELECT
    'green' AS service,
    {columns}
FROM {trips_green}
WHERE month >= DATE '2009-01-01'
