-- All trips of the month by hour of the day, on DuckDB.
SELECT
    hour(pickup_datetime) AS hour,
    count(*) AS trips,
    round(avg(total_amount), 2) AS mean_amount
FROM taxi.trips_{{ service }}
WHERE month = DATE '{{ month }}-01'
GROUP BY 1
ORDER BY 1
