-- Revenue and tips of yellow and green taxis by month and pick-up zone, in US dollars, without charges that were
-- cancelled. Tips are recorded for payments by card alone: tip_share is card_tips / card_fares.
SELECT
    by_zone.month,
    by_zone.service,
    zones.borough,
    zones.zone,
    by_zone.pickup_location_id,
    by_zone.trips,
    by_zone.revenue,
    by_zone.card_trips,
    by_zone.card_fares,
    by_zone.card_tips,
    by_zone.card_tips / NULLIF(by_zone.card_fares, 0) AS tip_share
FROM (
    SELECT
        month,
        service,
        pickup_location_id,
        COUNT(*) AS trips,
        ROUND(SUM(total_amount) * 100) / 100 AS revenue,
        COUNT(CASE WHEN payment_type = 1 THEN 1 END) AS card_trips,
        ROUND(SUM(CASE WHEN payment_type = 1 THEN fare_amount END) * 100) / 100 AS card_fares,
        ROUND(SUM(CASE WHEN payment_type = 1 THEN tip_amount END) * 100) / 100 AS card_tips
    FROM {taxi_trips}
    WHERE reversal_source_row IS NULL
    GROUP BY month, service, pickup_location_id
) AS by_zone
LEFT JOIN {zones} AS zones ON zones.location_id = by_zone.pickup_location_id
