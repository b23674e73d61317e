#!/bin/sh
# Run uv in .venv (or in the environment $VENV) with the settings pip has, which uv does not read by itself: a company's mirror,
# its certificate, its proxy. UV_* variables that are set already win.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
python=$venv/bin/python
pip_settings=$("$python" -m pip config list 2>/dev/null || true)

pass_on() { # name in pip, name in uv
    value=$(printf '%s\n' "$pip_settings" | sed -nE "s/^(:env:|global|install)\.$1='(.*)'\$/\2/p" |
        sed -e 's/\\n/ /g' -e 's/^ *//' -e 's/ *$//' | head -n 1)
    [ -z "$value" ] || eval "export $2=\"\${$2:-\$value}\""
}
pass_on index-url UV_INDEX_URL
pass_on extra-index-url UV_EXTRA_INDEX_URL
pass_on find-links UV_FIND_LINKS
pass_on trusted-host UV_INSECURE_HOST
pass_on cert SSL_CERT_FILE
pass_on proxy ALL_PROXY
# As pip does: the wanted version from whichever index has it; the hashes say that it is the right one.
export UV_INDEX_STRATEGY=unsafe-best-match UV_PYTHON_DOWNLOADS=never

"$python" -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/uv.txt
exec $venv/bin/uv "$@"
