# As the official image's: root hands the data over to `postgres`; a new cluster gets its superuser, its database
# and what /docker-entrypoint-initdb.d/*.sql says, while it cannot be reached from outside.
set -eu
export LC_ALL=C.UTF-8
as_postgres="setpriv --reuid postgres --regid postgres --clear-groups"
mkdir -p "$PGDATA" /var/run/postgresql
chown -R postgres:postgres "$PGDATA" /var/run/postgresql
chmod 700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    (umask 077 && printf %s "${POSTGRES_PASSWORD:?}" >/tmp/password)
    chown postgres /tmp/password
    $as_postgres initdb -U "$POSTGRES_USER" --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256 >/dev/null
    rm /tmp/password
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    $as_postgres pg_ctl -w -o "-c listen_addresses= -k /var/run/postgresql" start >/dev/null
    createdb -h /var/run/postgresql -U "$POSTGRES_USER" "$POSTGRES_DB"
    for file in /docker-entrypoint-initdb.d/*.sql; do
        psql -v ON_ERROR_STOP=1 -h /var/run/postgresql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -f "$file"
    done
    $as_postgres pg_ctl -w stop >/dev/null
fi
exec $as_postgres "$@" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
