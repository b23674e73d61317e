-- All trips of the month by day, on Postgres. Nothing is written: the result is shown and handed on.
-- {{ service }} and {{ month }} are the pipeline's variables.
SELECT
    extract(day FROM pickup_datetime)::int AS day,
    count(*) AS trips,
    round(sum(total_amount)::numeric)::float8 AS revenue
FROM {{ env_var('POSTGRES_SCHEMA') or 'taxi' }}.trips_{{ service }}
WHERE month = DATE '{{ month }}-01'
GROUP BY 1
ORDER BY 1
