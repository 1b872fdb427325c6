#!/bin/bash
# Check and time networks on a GPU against the CPU; a few minutes.
#
#   benchmarks/gpu.sh [--device cuda] [--small] [--json FILE]
#
# Where the packages cannot be installed, WHEELS names a folder of wheels, which are unpacked for
# this run. PYTHON names the Python that has torch.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
if [ -n "${WHEELS:-}" ]; then
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    "$python" -m pip install -q --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl
    export PYTHONPATH=$PYTHONPATH:$site
fi
"$python" -m benchmarks.gpu "$@"
