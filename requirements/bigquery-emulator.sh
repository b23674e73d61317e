#!/bin/sh
# Make or update .venv-bigquery, which holds the BigQuery emulator of the tests:  requirements/bigquery-emulator.sh
#
# It needs Python 3.13 and says so, with exit code 3, where there is none. It does nothing when the
# environment already holds what requirements/bigquery-emulator.txt says. After a change of the .in file:
#   requirements/uv.sh pip compile --quiet --no-emit-index-url --no-emit-find-links --universal \
#       --generate-hashes -p 3.13 --override requirements/bigquery-emulator-overrides.txt \
#       requirements/bigquery-emulator.in -o requirements/bigquery-emulator.txt
set -eu
cd "$(dirname "$0")/.."
venv=.venv-bigquery
file=requirements/bigquery-emulator.txt
python=$venv/bin/python

wanted="$(pwd) $(cat "$file" requirements/bigquery-emulator.sh | cksum)"
stamp=$venv/.installed
[ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ] || exit 0

say() { printf 'BigQuery emulator: %s\n' "$*" >&2; }

find_python() {
    for candidate in python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python3.13 python3; do
        # run it: a version manager's launcher may stand on the path without the version behind it
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    say "Python 3.13 is needed, and neither on the path nor in pyenv there is one: install it to test BigQuery."
    exit 3
}

if ! "$python" -m pip --version >/dev/null 2>&1; then
    base=$(find_python)
    "$base" -m venv --clear "$venv" >/dev/null
fi
say "installing $(grep -c '^[a-z]' "$file") packages of $file (600 MB) into $venv"
# The overridden version contradicts what local-bigquery asks for; the file is complete, so nothing is resolved.
VENV=$venv requirements/uv.sh pip install --quiet --python "$python" --no-deps --require-hashes -r "$file" ||
    "$python" -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r "$file"
# DuckDB keeps extensions below the home folder: this one stays out of the user's.
HOME=$(pwd)/$venv "$python" - <<'END'
from duckdb_extensions import import_extension

for name in ("ducklake", "httpfs", "icu", "spatial"):
    import_extension(name)
END
echo "$wanted" >"$stamp"
