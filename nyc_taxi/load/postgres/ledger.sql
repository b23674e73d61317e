-- What was loaded, when and from which file: one row a load, never changed. Read ledger_current.
-- Columns of later versions are not here: they are added from nyc_taxi.schema.tables.LEDGER.
CREATE TABLE ledger (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service text NOT NULL,
    month date NOT NULL,
    version text NOT NULL,
    source_url text NOT NULL,
    source_etag text,
    source_sha256 text NOT NULL,
    rows_in bigint NOT NULL,
    rows_loaded bigint NOT NULL,
    rows_quarantined bigint NOT NULL,
    schema_version bigint NOT NULL,
    package_version text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    run_id text NOT NULL,
    orchestrator text NOT NULL,
    CONSTRAINT nothing_lost CHECK (rows_in = rows_loaded + rows_quarantined)
);

CREATE INDEX ledger_latest ON ledger (service, month, id DESC);
