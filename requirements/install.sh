#!/bin/sh
# Make or update an environment:  requirements/install.sh NAME
#
#   mage, dev             .venv           Mage; with what tests and checks need
#   airflow, airflow-dev  .venv-airflow   Airflow 3; with what its tests need
#   airflow2              .venv-airflow2  Airflow 2, on which the DAGs are tested too
#   bench                 .venv-bench     the tools that the benchmark compares with
#   docs                  .venv-docs      the documentation site
#   lowest                .venv-lowest    the oldest versions that pyproject.toml admits
#
# It does nothing when the environment already holds what the requirement file says, so every make target
# can call it. uv installs (seconds); pip (minutes) is the fallback.
set -eu
cd "$(dirname "$0")/.."
name=$1
case $name in
airflow2) venv=.venv-airflow2 ;;
bench) venv=.venv-bench ;;
docs) venv=.venv-docs ;;
lowest) venv=.venv-lowest ;;
airflow*) venv=.venv-airflow ;;
*) venv=.venv ;;
esac
file=requirements/$name.txt

# A stamp records what is installed: the files' checksum, and the folder, because an environment
# cannot be moved.
wanted() { echo "$(pwd) $(cat "requirements/$1.txt" pyproject.toml | cksum)"; }
stamp=$venv/.installed-$name
[ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$(wanted "$name")" ] || exit 0

say() { printf 'environment: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# ---- a Python that Mage and Airflow run on
find_python() {
    for candidate in python3.11 python3.12 python3; do
        # run it: a version manager's launcher may stand on the path without the version behind it
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or 3.12 is needed and neither python3.11, python3.12 nor python3 is one: install one of them."
}

python=$venv/bin/python
if ! "$python" -m pip --version >/dev/null 2>&1; then
    base=$(find_python)
    say "making $venv with $("$base" --version)"
    "$base" -m venv --clear "$venv" >/dev/null ||
        fail "$base cannot make an environment: install its venv module (on Debian and Ubuntu the package $base-venv)."
fi

# ---- install
if [ -f "$stamp" ]; then
    say "bringing $venv up to date with $file"
else
    size="1 to 2 GB, about half a minute on a fast connection"
    [ "$name" != docs ] || size="200 MB"
    say "installing $(grep -c '^[a-z]' "$file") packages of $file ($size)"
fi
pip() { "$python" -m pip install -qq --disable-pip-version-check "$@"; }
# The lists are complete. Nothing is resolved: mage-overrides.txt contradicts what Mage asks for.
with_uv() { VENV=$venv requirements/uv.sh pip install --quiet --python "$python" --no-deps --require-hashes -r "$file"; }
with_pip() { pip --no-deps --require-hashes -r "$file"; }
with_uv || { say "uv did not manage, trying pip (several minutes)"; with_pip; } ||
    fail "the packages could not be installed, see above: check the network (or pip's settings of your mirror) and try again."
# the documentation is built from the source: nothing is imported
[ "$name" = docs ] || pip --no-deps --no-build-isolation --no-index --editable . ||
    fail "the package nyc_taxi could not be installed into $venv, see above."

wanted "$name" >"$stamp"
case $name in # what tests need comes on top of the environment itself
dev) wanted mage >"$venv/.installed-mage" ;;
airflow-dev) wanted airflow >"$venv/.installed-airflow" ;;
esac
say "ready: $venv"
