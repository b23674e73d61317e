-- What was loaded, when and from which file: one row a load, never changed. Read ledger_current.
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
    schema_version integer NOT NULL,
    package_version text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    run_id text NOT NULL,
    orchestrator text NOT NULL,
    CONSTRAINT nothing_lost CHECK (rows_in = rows_loaded + rows_quarantined)
);

CREATE INDEX ledger_latest ON ledger (service, month, id DESC);

COMMENT ON TABLE ledger IS 'Every load of a month, in order; rows are only ever added. ledger_current has the latest of each month.';
COMMENT ON COLUMN ledger.id IS 'Grows with every load; the greatest of a service and month is the one in force.';
COMMENT ON COLUMN ledger.service IS 'Service: yellow, green, fhv or fhvhv.';
COMMENT ON COLUMN ledger.month IS 'Month of the file, as its first day.';
COMMENT ON COLUMN ledger.version IS 'Names the month''s content: the source file, the rules and the code that cleans.';
COMMENT ON COLUMN ledger.source_url IS 'Where the file came from.';
COMMENT ON COLUMN ledger.source_etag IS 'The source''s ETag of the file; empty when it gave none.';
COMMENT ON COLUMN ledger.source_sha256 IS 'SHA-256 of the file; source_version in the rows is its first 12 digits.';
COMMENT ON COLUMN ledger.rows_in IS 'Rows in the file: rows_loaded + rows_quarantined.';
COMMENT ON COLUMN ledger.rows_loaded IS 'Rows in the trips table.';
COMMENT ON COLUMN ledger.rows_quarantined IS 'Rows in the quarantine table.';
COMMENT ON COLUMN ledger.schema_version IS 'Version of the canonical columns.';
COMMENT ON COLUMN ledger.package_version IS 'Version of nyc_taxi that loaded.';
COMMENT ON COLUMN ledger.started_at IS 'When the load began.';
COMMENT ON COLUMN ledger.finished_at IS 'When the month was about to become visible.';
COMMENT ON COLUMN ledger.run_id IS 'The run that loaded, as its orchestrator names it.';
COMMENT ON COLUMN ledger.orchestrator IS 'Who ran it: cli, mage or airflow.';
