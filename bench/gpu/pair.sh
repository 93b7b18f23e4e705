#!/usr/bin/env bash
# Issue 13.4 on a host with two GPUs, Python 3.12, PyTorch and no network; what comes out lies in $OUT.
#   bench/gpu/pair.sh BUNDLE [PEOPLE [QUESTIONS]]
# BUNDLE as for prove.sh. One engine, then two; people who show one photo and ask on, first at one engine, then at two with
# each person kept to theirs, then at two in turns. Targets: two engines >= 1.9 times one's requests/s; cached share with
# affinity >= 0.95 of the single engine's. Every line of pair.json is one of the three.
set -uo pipefail
bundle=$1 people=${2-64} questions=${3-6}
home=$HOME/askpix-gpu here=$PWD
mkdir -p "$OUT" "$home"
if [ ! -e "$home/done" ]; then
    for archive in "$bundle"/site*.txz; do
        python3 -c "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])" "$archive" "$home/site" || exit 1
    done
    python3 -c "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])" "$bundle/model.txz" "$home" || exit 1
    python3 -m pip install -q --no-index --no-deps --no-cache-dir --target "$home/wheels" "$bundle"/wheels/*.whl || exit 1
    touch "$home/done"
fi
[ "$(nvidia-smi -L | wc -l)" -ge 2 ] || { echo "this needs two GPUs"; exit 1; }
export PYTHONPATH=$here:$home/wheels:$home/site HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 PYTHONUNBUFFERED=1 LC_ALL=C.UTF-8
export ASKPIX_DATA_DIR=$home/pair ASKPIX_MODEL=$home/model ASKPIX_GPU=${GPU-auto} ASKPIX_REPLICAS=2
rm -rf "$ASKPIX_DATA_DIR"
python3 -m askpix engine >"$OUT/engine.log" 2>&1 &
engine=$!
trap 'kill $engine; wait $engine; cp "$ASKPIX_DATA_DIR"/logs/sglang*.log "$OUT/"' EXIT
for _ in $(seq 300); do
    [ -e "$ASKPIX_DATA_DIR/engine.json" ] && [ -e "$ASKPIX_DATA_DIR/engine-1.json" ] && break
    kill -0 $engine 2>/dev/null || { tail -n 40 "$OUT/engine.log"; exit 1; }
    sleep 1
done
python3 -m bench.gpu.pair "$people" "$questions" | tee "$OUT/pair.json"
