-- The ten stations of a day where most trips began; of equally many the station with the lower number is first.
SELECT
    f.date,
    ROW_NUMBER() OVER (ORDER BY f.trips DESC, f.station_id) AS position,
    f.station_id,
    f.station_name,
    r.name AS region_name,
    f.trips
FROM {fact_trips_daily} AS f
LEFT JOIN {raw_stations} AS s ON s.date = f.date AND s.station_id = f.station_id
LEFT JOIN {raw_regions} AS r ON r.date = s.date AND r.region_id = s.region_id
WHERE f.date = @day
QUALIFY position <= 10
