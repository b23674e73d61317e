#!/usr/bin/env bash
# `make docker-test`: the images and the whole stack on a real engine, one that is there or one of its own.
# Where none can be had it says so and is content; DOCKER_TEST=required makes that a failure.
set -euo pipefail
cd "$(dirname "$0")/../../.."
tests/e2e/docker/engine.sh start || {
    [ $? = 3 ] || exit 1
    echo "docker-test: DID NOT RUN, see above. Nothing about containers was tested."
    [ "${DOCKER_TEST:-}" != required ]
    exit
}
trap 'tests/e2e/docker/engine.sh stop' EXIT
.venv/bin/python -m pytest -m docker -n 0 --maxfail 1 tests/e2e/docker "$@"
echo "docker-test: ran, all passed."
