#!/usr/bin/env bash
# Trains the demo model on a machine with a GPU whose Python has torch, transformers and tqdm; what comes out lies in $OUT.
#   bench/gpu/train_demo.sh STATE_FOLDER [options of inference.demo.train]
# STATE_FOLDER keeps what --resume needs while the machine lasts; copies in parts under 16 MB come to $OUT.
set -euo pipefail
state=$1
shift
mkdir -p "$state" "$OUT"
mount -o remount,size=48G /dev/shm 2>/dev/null || true # batches wait there; a container's 64 MB hold none
if [ ! -e "$state/state.pt" ] && compgen -G "bench/gpu/state/state.pt.*" >/dev/null; then
    cat bench/gpu/state/state.pt.* >"$state/state.pt"
fi
resume=()
if [ -e "$state/state.pt" ]; then resume=(--resume); fi
python3 -m inference.demo.train --out "$state/checkpoint" --workers "$(($(nproc) - 1))" "${resume[@]}" "$@" 2>&1 |
    tr '\r' '\n' | tee "$OUT/log.txt"
cp "$state/measured.json" "$OUT/"
split -b 15000000 -d "$state/state.pt" "$OUT/state.pt."
