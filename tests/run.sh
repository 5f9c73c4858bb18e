#!/usr/bin/env bash
# Sets up everything and runs the whole suite. With arguments, runs only those tests: bash tests/run.sh tests/unit -k name
set -euo pipefail
cd "$(dirname "$0")/.."
source examples/environment.sh

install_peers() {
    local wanted=() package
    for package in dcmtk orthanc orthanc-dicomweb postgresql gcc; do
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || wanted+=("$package")
    done
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

prepare_environment dev
install_peers

if [ "$#" -gt 0 ]; then
    exec "$VENV/bin/python" -m pytest "$@"
fi

"$VENV/bin/ruff" check .
"$VENV/bin/ruff" format --check .
"$VENV/bin/mypy"
"$VENV/bin/lint-imports"
"$VENV/bin/python" -m pytest -n 2 --dist loadgroup -q
