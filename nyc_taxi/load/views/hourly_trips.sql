-- Yellow and green trips by day and hour of the pick-up, without charges that were cancelled.
SELECT
    month,
    service,
    CAST(pickup_datetime AS DATE) AS pickup_day,
    CAST(EXTRACT(HOUR FROM pickup_datetime) AS {int64}) AS pickup_hour,
    COUNT(*) AS trips,
    ROUND(SUM(total_amount) * 100) / 100 AS revenue
FROM {taxi_trips}
WHERE reversal_source_row IS NULL
GROUP BY month, service, pickup_day, pickup_hour
