#!/usr/bin/env bash
# The main job in under three minutes: a legacy PACS is migrated, what was normalized is explained, and images are taken out again.
set -euo pipefail
cd "$(dirname "$0")/.."
source examples/environment.sh
prepare_environment codecs
exec "$VENV/bin/python" examples/migrate_legacy_pacs/quickstart.py "$@"
