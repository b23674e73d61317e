-- Stations with the names of their regions, as of the newest day that is loaded. A station without a
-- region is kept; its region_name is empty.
SELECT
    s.station_id,
    s.name,
    s.region_id,
    r.name AS region_name,
    s.capacity,
    s.date AS as_of
FROM {raw_stations} AS s
LEFT JOIN {raw_regions} AS r ON r.date = s.date AND r.region_id = s.region_id
WHERE s.date = (SELECT MAX(date) FROM {raw_stations})
