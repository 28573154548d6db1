#!/usr/bin/env bash
# Measures one machine, a Jetson above all, and packs every figure into one file that can be sent.
#
#   benchmarks/on_device.sh [--device jetpack6|jetpack7|rtx|cuda|cpu] [--shape 1.7B|3B|tiny | --checkpoint DIR]
#                           [--precision P] [--slots N] [--length N] [--out DIR] [--python FILE] [--quick]
#
# Run from the repository, with edgevlm installed in the Python that is named (default: .venv/bin/python). Without
# --checkpoint it draws random weights: speed depends on sizes and not on what was learnt. A step that fails is noted
# and the next one runs; the exit code is then 1. Nothing is changed outside of the folder: set the power mode first.
# What is packed: texts and figures, names of the machine's folders among them; no weights and no pictures.
set -euo pipefail
export LC_ALL=C

device="" shape=1.7B checkpoint="" precision="" slots="" length="" out="" python=.venv/bin/python quick=""

fail() {
    echo "on_device.sh: $1" >&2
    exit 2
}

while (($#)); do
    case $1 in
        --device | --shape | --checkpoint | --precision | --slots | --length | --out | --python)
            (($# > 1)) || fail "$1 needs a value."
            printf -v "${1#--}" %s "$2"
            shift 2
            ;;
        --quick) quick=yes && shift ;;
        --help)
            sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$0"
            exit 0
            ;;
        *) fail "there is no option $1; --help lists them." ;;
    esac
done

python=$(command -v "$python") || fail "there is no Python with edgevlm; give one with --python."
python=$(realpath --no-symlinks "$python")
out=$(realpath --canonicalize-missing "${out:-runs/on-device-$(date +%Y%m%d-%H%M%S)}")
[[ -z $checkpoint ]] || checkpoint=$(realpath "$checkpoint")
cd "$(dirname "$0")/.."
edgevlm=("$python" -m edgevlm)
[[ ! -e $out ]] || fail "$out is there already."
mkdir -p "$out/figures"
figures=$out/figures steps=$out/figures/steps.jsonl failed=0

total_kb=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
if ((total_kb > 12000000)); then default_slots=8 default_length=2048; else default_slots=4 default_length=1024; fi
[[ -n $slots ]] || slots=$default_slots
[[ -n $length ]] || length=$default_length
requests=32 pictures=40 numbers=32 past=512 idle=20
if [[ -n $quick ]]; then requests=2 pictures=1 numbers=2 past=16 idle=1; fi

available() {
    awk '/^MemAvailable:/ { print $2 }' /proc/meminfo
}

peak() { # PID: the largest resident memory of a process, in kB
    awk '/^VmHWM:/ { print $2 }' "/proc/$1/status" 2>/dev/null || true
}

# step NAME COMMAND...: its output in NAME.txt; when it began, how long it took, its largest resident memory, and by how
# much the machine's available memory fell at most, in steps.jsonl: what a Jetson's GPU holds is seen in the last alone
step() {
    local name=$1 start before least now held seen=0 code=0 pid
    shift
    echo "$name: $*" >&2
    start=${EPOCHREALTIME/./} before=$(available) least=$before
    "$@" >"$figures/$name.txt" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        now=$(available) held=$(peak "$pid")
        if ((now < least)); then least=$now; fi
        if ((${held:-0} > seen)); then seen=$held; fi
        sleep 0.1
    done
    wait "$pid" || code=$?
    printf '{"step": "%s", "began": %d, "code": %d, "milliseconds": %d, "resident_kb": %d, "taken_kb": %d}\n' "$name" \
        "$((start / 1000000))" "$code" "$(((${EPOCHREALTIME/./} - start) / 1000))" "$seen" "$((before - least))" >>"$steps"
    if ((code)); then
        failed=1
        echo "$name ended with code $code:" >&2
        tail -n 3 "$figures/$name.txt" >&2
    fi
    return "$code"
}

# what a command prints, or why it does not
note() {
    local name=$1
    shift
    "$@" >"$figures/$name.txt" 2>&1 || echo "ended with code $?" >>"$figures/$name.txt"
}

environment() {
    note system uname -a
    note release cat /etc/nv_tegra_release
    note power nvpmodel -q --verbose
    note clocks jetson_clocks --show
    note packages "$python" -m pip freeze
    note commit git log -1 --format=%H
    note changes git status --short
    note doctor "${edgevlm[@]}" doctor
    "${edgevlm[@]}" doctor --json >"$figures/doctor.json" 2>"$figures/doctor-errors.txt" || true
}

choose_device() {
    device=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["device"] or "")' \
        "$figures/doctor.json") || device=""
    [[ -n $device ]] || fail "doctor knows no device for this machine: see $figures/doctor.txt, or give --device."
}

# build BUNDLE NAME SLOTS LENGTH: TensorRT plans of a bundle, and how large they are
build() {
    [[ $device == jetpack* || $device == rtx ]] || return 0
    step "build-$2" "${edgevlm[@]}" build "$1" --max-batch "$3" --max-length "$4" || return
    find "$1" "$1.plans" -type f -printf '%s %P\n' >"$figures/sizes-$2.txt"
}

right_answers() { # the demo model, known to be right on a CPU: what does it read on this device?
    local bundle=$out/demo
    step export-demo "${edgevlm[@]}" export demo/edgevlm_demo/checkpoint "$bundle" --device "$device" \
        --vision-tower demo/edgevlm_demo/clip --name demo || return
    build "$bundle" demo 8 "$(positions "$bundle")" || return
    step answers "${edgevlm[@]}" eval demo --model "$bundle" --pictures "$pictures"
}

positions() { # BUNDLE: how many a slot may have
    "$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["max_length"])' "$1/manifest.json"
}

speed() {
    local bundle=$out/bundle tower=() chosen=() many=1
    if [[ -z $checkpoint ]]; then
        checkpoint=$out/checkpoint
        step checkpoint "$python" -m benchmarks.random_checkpoint "$shape" "$checkpoint" || return
    fi
    if [[ -d $checkpoint/clip ]]; then tower=(--vision-tower "$checkpoint/clip"); fi
    if [[ -n $precision ]]; then chosen=(--precision "$precision"); fi
    step export "${edgevlm[@]}" export "$checkpoint" "$bundle" --device "$device" "${tower[@]}" "${chosen[@]}" || return
    build "$bundle" model "$slots" "$length" || return
    while ((2 * ${many##*,} <= slots)); do many+=,$((2 * ${many##*,})); done
    if ((${many##*,} < slots)); then many+=,$slots; fi
    note doctor-bundle "${edgevlm[@]}" doctor "$bundle"
    # the same slots and lengths everywhere: others would need other plans
    step engine "$python" -m benchmarks.engine "$bundle" --slots "$many" --past "$past" --steps "$numbers" \
        --max-length "$length" --json "$figures/engine.json" || true
    step http "$python" -m benchmarks.http "$bundle" --clients "$many" --requests "$requests" --max-tokens 32 \
        --json "$figures/http.json" --max-batch "$slots" --max-length "$length"
}

sampler=""
trap '[[ -z $sampler ]] || kill "$sampler" 2>/dev/null || true' EXIT

environment
[[ -n $device ]] || choose_device
if command -v tegrastats >/dev/null; then
    # power of the rails, clocks, load and temperatures, twice a second
    tegrastats --interval 500 >"$figures/tegrastats.txt" 2>&1 &
    sampler=$!
fi
step idle sleep "$idle" # what the machine takes by itself
right_answers || failed=1
speed || failed=1
note doctor-after "${edgevlm[@]}" doctor
tar -czf "$out.tar.gz" -C "$out" figures
echo "$out.tar.gz holds the figures of this machine; thank you for sending it."
exit "$failed"
