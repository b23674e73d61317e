-- The trips among all rows of the lake's {service} files, found by SQL as the rules of rules.yaml find them.
WITH rows_of_files AS (
    {all_rows}
),

of_month AS (
    SELECT
        {columns},
        DATETIME(month) AS month_start,
        DATETIME(DATE_ADD(month, INTERVAL 1 MONTH)) AS month_end,
        -- FLOAT64 cannot partition a window
        TO_JSON_STRING(STRUCT({compared})) AS content
    FROM rows_of_files
),

judged AS (
    SELECT
        *,
        -- clock_change
        dropoff_datetime >= DATETIME_SUB(pickup_datetime, INTERVAL 1 HOUR)
        AND EXTRACT(HOUR FROM pickup_datetime) = 1
        AND EXTRACT(HOUR FROM dropoff_datetime) = 1
        AND EXTRACT(MONTH FROM pickup_datetime) = 11
        AND EXTRACT(DAY FROM pickup_datetime) <= 7
        AND EXTRACT(DAYOFWEEK FROM pickup_datetime) = 1
        -- minute_is_month
        OR EXTRACT(MINUTE FROM pickup_datetime) = EXTRACT(MONTH FROM month_start)
        AND EXTRACT(MINUTE FROM dropoff_datetime) = EXTRACT(MONTH FROM month_start)
        AND DATETIME_TRUNC(dropoff_datetime, HOUR) >= DATETIME_TRUNC(pickup_datetime, HOUR) AS is_clock
    FROM of_month
    -- missing_pickup_time, outside_month, missing_dropoff_time
    WHERE pickup_datetime >= month_start AND pickup_datetime < month_end AND dropoff_datetime IS NOT NULL
),

numbered AS (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY month, source_version, content ORDER BY source_row) AS repetition
    FROM judged
    WHERE dropoff_datetime >= pickup_datetime OR is_clock -- dropoff_before_pickup
)

SELECT {columns}
FROM numbered
WHERE repetition = 1 -- exact_duplicate
