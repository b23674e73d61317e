-- Duration in minutes and speed in miles per hour of yellow and green trips, without those whose times or distance
-- are doubtful: flagged, shorter than a minute, or faster than 100 miles per hour.
SELECT
    service,
    month,
    pickup_datetime,
    pickup_location_id,
    dropoff_location_id,
    trip_distance,
    minutes,
    trip_distance / minutes * 60 AS miles_per_hour
FROM (
    SELECT
        *,
        {minutes} AS minutes,
        COALESCE(ARRAY_TO_STRING(flags, ' '), '') AS flag_names
    FROM {taxi_trips}
    WHERE reversal_source_row IS NULL AND trip_distance > 0
) AS trips
WHERE minutes >= 1
    AND trip_distance / minutes * 60 <= 100
    AND flag_names NOT LIKE '%minute_is_month%'
    AND flag_names NOT LIKE '%day_long%'
    AND flag_names NOT LIKE '%clock_change%'
    AND flag_names NOT LIKE '%absurd_distance%'
