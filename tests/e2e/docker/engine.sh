#!/usr/bin/env bash
# What `make docker-test` needs around it: a Docker engine with Compose v2, and base images where no image
# registry can be reached.
#
#   engine.sh start    an engine: the one that runs, else one of Debian's packages (as root on Debian)
#   engine.sh python   a substitute for python:3.11-slim-bookworm from Debian's packages, named $SUBSTITUTE_IMAGE
#   engine.sh stop     end the engine that `start` has started; images and layers stay for the next time
#
# `start` exits with 3, and one sentence on standard error, where no engine can be had.
set -euo pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nyc-taxi-docker
SUBSTITUTE_IMAGE=${SUBSTITUTE_IMAGE:-nyc-taxi-test/python}
mkdir -p "$cache"

no_engine() { echo "no Docker engine: $*" >&2; exit 3; }
apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" >>"$cache/apt.log" 2>&1; }
mirror() { # the one this machine uses already
    sed -nE 's/^(URIs:|deb( \[[^]]*\])?) *(https?:[^ ]*\/debian)\/?( .*)?$/\3/p' \
        /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1
}

# Debian 12 has no Compose v2; that of Debian 13 is a single program without dependencies.
install_compose() {
    local list=$cache/trixie.list
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) trixie main" >"$list"
    local from=(-o Dir::Etc::SourceList="$list" -o Dir::Etc::SourceParts=- -o APT::Get::List-Cleanup=0)
    (cd "$cache" && rm -rf compose ./docker-compose_*.deb && apt "${from[@]}" update &&
        apt "${from[@]}" download docker-compose && dpkg -x docker-compose_*.deb compose) &&
        install -D "$(find "$cache/compose" -name docker-compose -type f -perm -u+x | head -n 1)" \
            /usr/local/lib/docker/cli-plugins/docker-compose
}

start() {
    if docker info >/dev/null 2>&1; then
        docker compose version >/dev/null 2>&1 || [ "$(id -u)" = 0 ] || no_engine "Compose v2 is not installed."
    else
        [ "$(id -u)" = 0 ] || no_engine "none runs that this user may use, and only root can install one."
        { command -v apt-get && [ -n "$(mirror)" ]; } >/dev/null || no_engine "none runs, and this is not Debian."
        command -v dockerd >/dev/null || { apt update && apt install docker.io iptables; } ||
            no_engine "Debian's package docker.io could not be installed, see $cache/apt.log."
    fi
    docker compose version >/dev/null 2>&1 || install_compose ||
        no_engine "Compose v2 could not be installed, see $cache/apt.log."
    if ! docker info >/dev/null 2>&1; then
        # a smaller MTU passes through the tunnels that virtual machines often sit behind
        setsid dockerd --mtu 1400 >"$cache/dockerd.log" 2>&1 </dev/null &
        echo $! >"$cache/dockerd.pid"
        for _ in $(seq 60); do docker info >/dev/null 2>&1 && break || sleep 0.5; done
        docker info >/dev/null 2>&1 || no_engine "dockerd does not start, see $cache/dockerd.log."
    fi
    echo "Docker engine $(docker version --format '{{.Server.Version}}'), Compose $(docker compose version --short)"
}

python() {
    [ -z "$(docker image ls -q "$SUBSTITUTE_IMAGE")" ] || return 0
    [ "$(id -u)" = 0 ] || no_engine "python:3.11-slim-bookworm cannot be fetched, and only root can make a substitute."
    local root=$cache/python
    command -v debootstrap >/dev/null || apt install debootstrap
    rm -rf "$root"
    debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv bookworm \
        "$root" "$(mirror)" >"$cache/debootstrap.log" 2>&1 ||
        no_engine "a substitute for python:3.11-slim-bookworm could not be made, see $cache/debootstrap.log."
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" # this machine may trust a proxy of its own
    ln -s /usr/bin/python3 "$root/usr/local/bin/python"
    tar -C "$root" --exclude=./var/cache/apt --exclude=./var/lib/apt/lists -c . | docker import \
        -c 'ENV LANG=C.UTF-8 PIP_CERT=/etc/ssl/certs/ca-certificates.crt' -c 'CMD ["python"]' - "$SUBSTITUTE_IMAGE" >/dev/null
    rm -rf "$root"
}

stop() {
    [ -f "$cache/dockerd.pid" ] || return 0
    local pid
    pid=$(cat "$cache/dockerd.pid")
    rm "$cache/dockerd.pid"
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 60); do kill -0 "$pid" 2>/dev/null && sleep 0.5 || return 0; done
}

case "${1:-}" in start | python | stop) "$1" ;; *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
