#!/bin/sh
# What a CUDA machine needs to run once, from the root of a checkout: sh docs/benchmarks/gpu.sh [OUTPUT FOLDER]
# Networks in half precision without and with CUDA graphs, then the node over DDS, at 640x480. Ten to fifteen minutes.
set -eu
out=${1:-docs/benchmarks}
bin=${VENV:-.venv}/bin
mkdir -p "$out"
"$bin/python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
    echo 'gpu.sh: there is no CUDA device, or torch was built without CUDA' >&2
    exit 1
}
name=$("$bin/python" -c 'import re, torch; print(re.sub("[^a-z0-9]+", "-", torch.cuda.get_device_name().lower()).strip("-"))')
"$bin/benchmark" network --device cuda --frames 300 --json "$out/$name-network.json"
"$bin/benchmark" network --device cuda --frames 300 --graphs --json "$out/$name-network-graphs.json"
"$bin/benchmark" node --device cuda --json "$out/$name-node.json"
"$bin/benchmark" node --device cuda --graphs --json "$out/$name-node-graphs.json"
if "$bin/python" -c 'import tensorrt' 2>/dev/null; then
    "$bin/export" --format tensorrt --out "$out/dfd_small.plan" --json "$out/$name-tensorrt.json"
fi
echo "gpu.sh: the numbers are in $out/$name-*.json"
