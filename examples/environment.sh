# Makes the virtual environment of the project. Sourced by examples/quickstart.sh and tests/run.sh from the project's folder.
VENV="$PWD/.venv"
# Commands are started again and again; where compiled modules may not be kept, each start takes thrice as long.
unset PYTHONDONTWRITEBYTECODE

prepare_environment() {
    local extras="$1" python="${PYTHON:-python3}" stamp
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "Python 3.11 or later is needed (set PYTHON to its path)." >&2
        return 1
    fi
    stamp="$VENV/.vna-$extras-$(cksum < pyproject.toml | cut -d' ' -f1)"
    [ -e "$stamp" ] && return 0
    if [ ! -x "$VENV/bin/python" ]; then
        if ! "$python" -m venv "$VENV" 2>/dev/null; then
            rm -rf "$VENV"
            [ "$(id -u)" -eq 0 ] && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
            "$python" -m venv "$VENV"
        fi
    fi
    echo "Installing into .venv (this takes a minute the first time)" >&2
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check uv
    "$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" -e ".[$extras]"
    touch "$stamp"
}
