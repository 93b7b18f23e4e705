#!/usr/bin/env bash
# bench.gpu.speed on a GPU host with Python 3.12, PyTorch and no network; what comes out lies in $OUT.
#   bench/gpu/speed.sh BUNDLE [SECONDS]   ($ATTENTION: the engines' --attention-backend, $TEMPERATURE, $EXAM, $WAVES, $SKIP)
# BUNDLE holds site.txz, model.txz and wheels/, as for prove.sh; wheels/ here has py-spy and the demo's fonts too. What is
# too large for one call can come before: unpack it into ~/askpix-gpu/site, and leave the rest as another site*.txz. Compiling
# takes five minutes: cache.txz, if there, is .cache and .triton of a home where it was done, with the *.o that ninja asks for.
set -uo pipefail
bundle=$1 home=$HOME/askpix-gpu here=$PWD
mkdir -p "$OUT" "$home"
if [ ! -e "$home/done" ]; then
    for archive in "$bundle"/site*.txz; do
        python3 -c "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])" "$archive" "$home/site" || exit 1
    done
    python3 -c "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])" "$bundle/model.txz" "$home" || exit 1
    if [ -e "$bundle/cache.txz" ]; then # what another machine compiled: .cache/flashinfer, .cache/tvm-ffi, .triton
        python3 -c "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])" "$bundle/cache.txz" "$HOME" || exit 1
    fi
    touch "$home/done"
fi
for file in sglang/jit_kernel/include/sgl_kernel/tensor.h flashinfer/data/cutlass/include sgl_kernel/sm90; do
    [ -e "$home/site/$file" ] || { echo "the archives lack $file: no kernel would compile"; exit 1; } # minutes are lent
done
python3 -m pip install -q --no-index --no-deps --no-cache-dir --upgrade --target "$home/wheels" "$bundle"/wheels/*.whl || exit 1
mount -o remount,size=48G /dev/shm 2>/dev/null || true # photos travel there
export MPS=$home/mps
if command -v nvidia-cuda-mps-control >/dev/null && [ ! -e "$MPS" ]; then # only for who names this folder
    mkdir -p "$MPS"
    CUDA_MPS_PIPE_DIRECTORY=$MPS CUDA_MPS_LOG_DIRECTORY=$home setsid nvidia-cuda-mps-control -d
fi
cat /sys/kernel/mm/transparent_hugepage/{enabled,shmem_enabled} # what photos are written into
[ -e "${DEMO:=$here/inference/demo/checkpoint}/model.safetensors" ] &&
    python3 bench/gpu/int8.py "$DEMO" "$home/int8"
export ATTENTION=${ATTENTION-flashinfer} DEMO MODEL=$home/model INT8=$home/int8 PATH=$home/wheels/bin:$PATH PYTHONUNBUFFERED=1 LC_ALL=C.UTF-8
export PYTHONPATH=$here:$home/wheels:$home/site HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
work=$OUT
export OUT=$home/speed
python3 -m bench.gpu.speed bench/gpu/speed.toml "${2-440}" 2>"$work/speed.log" | tee "$work/speed.line.json" | cut -c1-200
cp "$OUT/speed.json" "$work/"
tar -C "$OUT" -czf "$work/logs.tgz" .
tail -n 120 "$work/speed.log" | cut -c1-900
