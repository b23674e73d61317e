-- Trips and revenue (US dollars) of each service and month, and their change against the month before: 0.1 is 10 %.
-- From the quality report, so that it reads no trips; a change is empty where the month before is not loaded.
SELECT
    month,
    service,
    trips,
    revenue,
    trips / NULLIF(CASE WHEN number_before = number - 1 THEN trips_before END, 0) - 1 AS trips_change,
    revenue / NULLIF(CASE WHEN number_before = number - 1 THEN revenue_before END, 0) - 1 AS revenue_change
FROM (
    SELECT
        month,
        service,
        number,
        trips,
        revenue,
        LAG(number) OVER (PARTITION BY service ORDER BY month) AS number_before,
        CAST(LAG(trips) OVER (PARTITION BY service ORDER BY month) AS {float64}) AS trips_before,
        LAG(revenue) OVER (PARTITION BY service ORDER BY month) AS revenue_before
    FROM (
        SELECT
            month,
            service,
            EXTRACT(YEAR FROM month) * 12 + EXTRACT(MONTH FROM month) AS number,
            CAST(MAX(CASE WHEN measure = 'trips' THEN value END) AS {int64}) AS trips,
            ROUND(MAX(CASE WHEN measure = 'sum' AND subject = 'total_amount' THEN value END) * 100) / 100 AS revenue
        FROM {quality}
        WHERE month >= DATE '2009-01-01'
        GROUP BY month, service
    ) AS months
) AS pairs
