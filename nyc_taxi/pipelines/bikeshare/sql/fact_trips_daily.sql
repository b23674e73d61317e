-- Trips of a day by the station where they began. Trips from a station that the day's stations do not have,
-- or from none, are counted like all others, and once more in unknown_station_trips.
SELECT
    t.date,
    t.start_station_id AS station_id,
    COALESCE(MAX(s.name), MIN(t.start_station_name)) AS station_name,
    COUNT(*) AS trips,
    COUNT(*) - COUNT(s.station_id) AS unknown_station_trips,
    AVG(t.duration_sec) AS average_duration_sec,
    SUM(t.duration_sec) AS total_duration_sec
FROM {raw_trips} AS t
LEFT JOIN {raw_stations} AS s ON s.date = t.date AND s.station_id = t.start_station_id
WHERE t.date = @day
GROUP BY t.date, t.start_station_id
