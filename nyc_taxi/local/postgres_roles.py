"""The roles of the embedded PostgreSQL: the loader owns the database, the reader may only read it.

The superuser only creates them; no command or environment contains its password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

LOADER = "taxi_loader"
READER = "taxi_reader"

_TAKE_OVER = f"""
DO $$
DECLARE
    change text;
BEGIN
    FOR change IN
        -- objects of the superuser in databases from before roles
        WITH own AS (
            SELECT oid FROM pg_namespace
            WHERE nspname !~ '^pg_(catalog|toast|temp)' AND nspname <> 'information_schema'
        ), me AS (SELECT oid FROM pg_roles WHERE rolname = current_user)
        SELECT format('ALTER SCHEMA %s OWNER TO {LOADER}', oid::regnamespace) FROM pg_namespace
        WHERE oid IN (SELECT oid FROM own) AND nspowner IN (SELECT oid FROM me)
        UNION ALL
        SELECT format('ALTER TABLE %s OWNER TO {LOADER}', oid::regclass) FROM pg_class
        WHERE relnamespace IN (SELECT oid FROM own) AND relowner IN (SELECT oid FROM me)
            AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            -- a column's sequence follows its table
            AND NOT (relkind = 'S' AND EXISTS (
                SELECT FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype IN ('a', 'i')
            ))
        UNION ALL
        SELECT format('ALTER TYPE %s OWNER TO {LOADER}', oid::regtype) FROM pg_type
        WHERE typnamespace IN (SELECT oid FROM own) AND typowner IN (SELECT oid FROM me)
            AND typtype IN ('e', 'd')
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO {LOADER}', oid::regprocedure) FROM pg_proc
        WHERE pronamespace IN (SELECT oid FROM own) AND proowner IN (SELECT oid FROM me)
    LOOP
        EXECUTE change;
    END LOOP;
END $$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
"""

_LET_READ = f"""
DO $$
DECLARE
    change text;
BEGIN
    FOR change IN
        SELECT oid::regnamespace FROM pg_namespace WHERE nspowner = '{LOADER}'::regrole
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO {READER}', change);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %s TO {READER}', change);
        EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %s TO {READER}', change);
    END LOOP;
END $$;
-- future objects of the loader; not in public, where Airflow keeps its own tables
ALTER DEFAULT PRIVILEGES FOR ROLE {LOADER} GRANT USAGE ON SCHEMAS TO {READER};
ALTER DEFAULT PRIVILEGES FOR ROLE {LOADER} GRANT SELECT ON TABLES TO {READER};
-- pg_dump reads the values of sequences
ALTER DEFAULT PRIVILEGES FOR ROLE {LOADER} GRANT SELECT ON SEQUENCES TO {READER};
"""

_KEEP_FROM_WRITING = f"""
DO $$
DECLARE
    change text;
BEGIN
    FOR change IN
        -- large objects fill the disk; advisory locks, which loads take too, hold them up
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND (
            proname IN ('lo_creat', 'lo_create', 'lo_from_bytea')
            OR proname ~ '^pg_(try_)?advisory_(xact_)?lock'
        )
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', change);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO {LOADER}', change);
    END LOOP;
END $$;
"""

_LIMITS = f"""
-- the limits of _KEEP_FROM_WRITING hold for one database
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
-- every role may change its own password and settings, also those for one database
ALTER ROLE {READER} RESET ALL;
DO $$
DECLARE
    change text;
BEGIN
    FOR change IN
        SELECT datname FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
        WHERE setrole = '{READER}'::regrole
    LOOP
        EXECUTE format('ALTER ROLE {READER} IN DATABASE %I RESET ALL', change);
    END LOOP;
END $$;
ALTER ROLE {READER} SET default_transaction_read_only = on;
ALTER ROLE {READER} SET temp_file_limit = '10GB';  -- of sorts, per connection
ALTER ROLE {READER} CONNECTION LIMIT 50;  -- of 100; the loader needs a few
"""


def create(cursor: cursor, passwords: dict[str, str]) -> None:
    """Create missing roles, set every role's password, and limit the reader."""
    for role, password in passwords.items():
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        verb = "CREATE" if cursor.fetchone() is None else "ALTER"
        cursor.execute(f"{verb} ROLE {role} LOGIN PASSWORD %s", [password])
    cursor.execute(_LIMITS)


def own(cursor: cursor, dbname: str) -> bool:
    """Return whether the loader owns the database."""
    cursor.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [dbname])
    row = cursor.fetchone()
    return row is not None and row[0] == LOADER


def take_over(cursor: cursor, dbname: str) -> None:
    """Make the loader the owner of the database and its objects."""
    cursor.execute(_TAKE_OVER)
    cursor.execute(f"ALTER DATABASE {dbname} OWNER TO {LOADER}")


def let_read(cursor: cursor, dbname: str) -> None:
    """Let the reader read all that the loader owns or will own, also in clusters of earlier versions.

    It cannot write what PostgreSQL lets every role write, or take locks of loads.
    """
    cursor.execute(_LET_READ)
    cursor.execute(_KEEP_FROM_WRITING)
    cursor.execute(f"REVOKE TEMPORARY ON DATABASE {dbname} FROM PUBLIC")
