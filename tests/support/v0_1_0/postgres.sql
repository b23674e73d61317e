-- The tables of version 0.1.0 with a month of green, as pg_dump wrote them (--schema=taxi --inserts; three rows of
-- quality). Version 0.1.0 did not know the column trip_type, and loaded it as text.
CREATE SCHEMA taxi;

CREATE TABLE taxi.ledger (
    id bigint NOT NULL,
    service text NOT NULL,
    month date NOT NULL,
    version text NOT NULL,
    source_url text NOT NULL,
    source_etag text,
    source_sha256 text NOT NULL,
    rows_in bigint NOT NULL,
    rows_loaded bigint NOT NULL,
    rows_quarantined bigint NOT NULL,
    schema_version integer NOT NULL,
    package_version text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    run_id text NOT NULL,
    orchestrator text NOT NULL,
    CONSTRAINT nothing_lost CHECK ((rows_in = (rows_loaded + rows_quarantined)))
);

CREATE VIEW taxi.ledger_current AS
 SELECT DISTINCT ON (service, month) id,
    service,
    month,
    version,
    source_url,
    source_etag,
    source_sha256,
    rows_in,
    rows_loaded,
    rows_quarantined,
    schema_version,
    package_version,
    started_at,
    finished_at,
    run_id,
    orchestrator
   FROM taxi.ledger
  ORDER BY service, month, id DESC;

ALTER TABLE taxi.ledger ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME taxi.ledger_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE taxi.quality (
    service text NOT NULL,
    month date NOT NULL,
    measure text,
    subject text,
    value double precision
);

CREATE TABLE taxi.quarantine_green (
    month date NOT NULL,
    source_version text,
    source_row bigint,
    reasons text[],
    column_name text,
    detail text,
    raw text
)
PARTITION BY LIST (month);

CREATE TABLE taxi.quarantine_green_2020_04 (
    month date DEFAULT '2020-04-01'::date CONSTRAINT quarantine_green_2020_04_new_month_not_null NOT NULL,
    source_version text,
    source_row bigint,
    reasons text[],
    column_name text,
    detail text,
    raw text
);

CREATE TABLE taxi.trips_green (
    month date NOT NULL,
    vendor_id smallint,
    pickup_datetime timestamp without time zone,
    dropoff_datetime timestamp without time zone,
    passenger_count smallint,
    trip_distance double precision,
    rate_code_id smallint,
    store_and_fwd_flag text,
    pickup_location_id smallint,
    dropoff_location_id smallint,
    pickup_longitude double precision,
    pickup_latitude double precision,
    dropoff_longitude double precision,
    dropoff_latitude double precision,
    payment_type smallint,
    fare_amount double precision,
    extra double precision,
    mta_tax double precision,
    tip_amount double precision,
    tolls_amount double precision,
    ehail_fee double precision,
    improvement_surcharge double precision,
    total_amount double precision,
    congestion_surcharge double precision,
    cbd_congestion_fee double precision,
    source_version text,
    source_row bigint,
    flags text[],
    reversal_source_row bigint,
    trip_type text
)
PARTITION BY LIST (month);

CREATE TABLE taxi.trips_green_2020_04 (
    month date DEFAULT '2020-04-01'::date CONSTRAINT trips_green_2020_04_new_month_not_null NOT NULL,
    vendor_id smallint,
    pickup_datetime timestamp without time zone,
    dropoff_datetime timestamp without time zone,
    passenger_count smallint,
    trip_distance double precision,
    rate_code_id smallint,
    store_and_fwd_flag text,
    pickup_location_id smallint,
    dropoff_location_id smallint,
    pickup_longitude double precision,
    pickup_latitude double precision,
    dropoff_longitude double precision,
    dropoff_latitude double precision,
    payment_type smallint,
    fare_amount double precision,
    extra double precision,
    mta_tax double precision,
    tip_amount double precision,
    tolls_amount double precision,
    ehail_fee double precision,
    improvement_surcharge double precision,
    total_amount double precision,
    congestion_surcharge double precision,
    cbd_congestion_fee double precision,
    source_version text,
    source_row bigint,
    flags text[],
    reversal_source_row bigint,
    trip_type text
);

ALTER TABLE ONLY taxi.quarantine_green ATTACH PARTITION taxi.quarantine_green_2020_04 FOR VALUES IN ('2020-04-01');

ALTER TABLE ONLY taxi.trips_green ATTACH PARTITION taxi.trips_green_2020_04 FOR VALUES IN ('2020-04-01');

INSERT INTO taxi.ledger OVERRIDING SYSTEM VALUE VALUES (1, 'green', '2020-04-01', '52db7e1f0f29', 'https://example.org/green_tripdata_2020-04.csv', NULL, '056a55aa7c34b0a22b852f837bab76e68db15d0132d74eea566a5463ac69a584', 5, 4, 1, 1, '0.1.0', '2026-11-21 23:03:57.293602+00', '2026-11-21 23:03:57.316105+00', 'cli-20261121T230355-656439', 'cli');

INSERT INTO taxi.quality VALUES ('green', '2020-04-01', 'rows_in', '', 5);
INSERT INTO taxi.quality VALUES ('green', '2020-04-01', 'trips', '', 4);
INSERT INTO taxi.quality VALUES ('green', '2020-04-01', 'quarantined', '', 1);

INSERT INTO taxi.quarantine_green_2020_04 VALUES ('2020-04-01', '056a55aa7c34', 5, '{dropoff_before_pickup}', NULL, 'A trip cannot end before it begins.', '{"vendor_id": 2, "pickup_datetime": "2020-04-10 08:00:04", "dropoff_datetime": "2020-04-10 07:00:00", "passenger_count": 1, "trip_distance": 2.5, "rate_code_id": 1, "store_and_fwd_flag": "N", "pickup_location_id": 74, "dropoff_location_id": 166, "payment_type": 1, "fare_amount": 8.0, "extra": 0.5, "mta_tax": 0.5, "tip_amount": 1.25, "tolls_amount": 0.0, "improvement_surcharge": 0.3, "total_amount": 10.55, "congestion_surcharge": 0.0, "trip_type": "1"}');

INSERT INTO taxi.trips_green_2020_04 VALUES ('2020-04-01', 2, '2020-04-10 08:00:00', '2020-04-10 09:30:00', 1, 2.5, 1, 'N', 74, 166, NULL, NULL, NULL, NULL, 1, 8, 0.5, 0.5, 1.25, 0, NULL, 0.3, 10.55, 0, NULL, '056a55aa7c34', 1, '{}', NULL, '1');
INSERT INTO taxi.trips_green_2020_04 VALUES ('2020-04-01', 2, '2020-04-10 08:00:01', '2020-04-10 09:30:00', 1, 2.5, 1, 'N', 74, 166, NULL, NULL, NULL, NULL, 1, 8, 0.5, 0.5, 1.25, 0, NULL, 0.3, 10.55, 0, NULL, '056a55aa7c34', 2, '{}', NULL, '2');
INSERT INTO taxi.trips_green_2020_04 VALUES ('2020-04-01', 2, '2020-04-10 08:00:02', '2020-04-10 09:30:00', 1, 2.5, 1, 'N', 74, 166, NULL, NULL, NULL, NULL, 1, 8, 0.5, 0.5, 1.25, 0, NULL, 0.3, 10.55, 0, NULL, '056a55aa7c34', 3, '{}', NULL, '1');
INSERT INTO taxi.trips_green_2020_04 VALUES ('2020-04-01', 2, '2020-04-10 08:00:03', '2020-04-10 09:30:00', 1, 2.5, 1, 'N', 74, 166, NULL, NULL, NULL, NULL, 1, 8, 0.5, 0.5, 1.25, 0, NULL, 0.3, 10.55, 0, NULL, '056a55aa7c34', 4, '{}', NULL, '2');

SELECT pg_catalog.setval('taxi.ledger_id_seq', 1, true);

ALTER TABLE ONLY taxi.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (id);

CREATE INDEX ledger_latest ON taxi.ledger USING btree (service, month, id DESC);

CREATE INDEX quality_month ON taxi.quality USING btree (service, month);

CREATE INDEX trips_green_pickup ON ONLY taxi.trips_green USING brin (pickup_datetime);

CREATE INDEX trips_green_2020_04_pickup_datetime_idx ON taxi.trips_green_2020_04 USING brin (pickup_datetime);

ALTER INDEX taxi.trips_green_pickup ATTACH PARTITION taxi.trips_green_2020_04_pickup_datetime_idx;
