-- Revenue of yellow and green taxis by day and pick-up zone (zone empty before July 2016), in US dollars.
-- Charges that were cancelled, and their cancellations, are left out.
SELECT
    month,
    CAST(pickup_datetime AS DATE) AS pickup_day,
    service,
    pickup_location_id,
    COUNT(*) AS trips,
    ROUND(SUM(fare_amount) * 100) / 100 AS fares,
    ROUND(SUM(tip_amount) * 100) / 100 AS tips,
    ROUND(SUM(tolls_amount) * 100) / 100 AS tolls,
    ROUND(SUM(total_amount) * 100) / 100 AS revenue
FROM {taxi_trips}
WHERE reversal_source_row IS NULL
GROUP BY month, pickup_day, service, pickup_location_id
