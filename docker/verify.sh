#!/usr/bin/env bash
# Tests the real deployment: builds the image, starts the default profile, enhances photos, checks that Prometheus counts
# them, stops the service under traffic, and checks that its alert reaches Alertmanager; then tests the profiles `scale`,
# with one front end killed under traffic, and `triton`, without a GPU. Run it as docker/verify.sh
# It is skipped, with a reason, if no Docker engine is running; parts whose images cannot be found or pulled are left out.
# With BUILD=0 it uses the existing image nightlift:local.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
skip() { printf 'skipped: %s\n' "$*"; exit 0; }
until_true() { # seconds, message on failure, command...
    local end=$((SECONDS + $1)) what=$2; shift 2
    until "$@" >/dev/null 2>&1; do ((SECONDS < end)) || fail "$what"; sleep 1; done
}
present() { docker image inspect "$1" >/dev/null 2>&1 || timeout 300 docker pull --quiet "$1" >/dev/null 2>&1; }

command -v docker >/dev/null || skip "no docker command"
docker info >/dev/null 2>&1 || skip "no Docker engine is running"
if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
"${compose[@]}" version >/dev/null 2>&1 || skip "no docker compose"
present "${PYTHON_IMAGE:-python:3.12-slim}" || skip "python:3.12-slim is not present and cannot be pulled"

compose+=(-f docker-compose.yml -f docker/triton-on-cpu.yml --profile scale --profile triton)
here=" nightlift nightlift-replica nightlift-triton"
for service in prometheus alertmanager grafana proxy triton; do
    image=$("${compose[@]}" config --format json | python3 -c "import json, sys
print(json.load(sys.stdin)['services']['$service']['image'])")
    if present "$image"; then here+=" $service "; else echo "not tested: $service ($image cannot be pulled)"; fi
done
has() { [[ "$here " == *" $1 "* ]]; }
services=(nightlift)
for service in prometheus alertmanager grafana; do ! has $service || services+=("$service"); done

service=http://127.0.0.1:${NIGHTLIFT_PORT:-8000}
prometheus=http://127.0.0.1:${PROMETHEUS_PORT:-9090}
alertmanager=http://127.0.0.1:${ALERTMANAGER_PORT:-9093}
work=$(mktemp -d)
trap '"${compose[@]}" down --volumes --timeout 40 >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

say "build and start: ${services[*]}"
build=(--build); [ "${BUILD:-1}" = 1 ] || build=(--no-build)
"${compose[@]}" up --detach --wait "${build[@]}" "${services[@]}"
"${compose[@]}" ps --format 'table {{.Service}}\t{{.Status}}'
base=$(docker image inspect "${PYTHON_IMAGE:-python:3.12-slim}" --format '{{.Size}}')
size=$(docker image inspect nightlift:local --format '{{.Size}}')
echo "image: $(((size - base) / 1000000)) MB above its base"
(((size - base) < 300000000)) || fail "the image is too large"

say "photos come back enhanced"
"${compose[@]}" exec -T nightlift python -c '
import io, tarfile, numpy, PIL.Image, sys
dark = numpy.random.default_rng(0).normal(18, 6, (400, 600, 3)).clip(0, 255).astype("uint8")
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as files:
    for name in ("jpeg", "png", "webp", "tiff", "avif", "bmp"):
        PIL.Image.fromarray(dark).save(file := io.BytesIO(), name)
        entry = tarfile.TarInfo(f"dark.{name}")
        entry.size = file.tell()
        file.seek(0)
        files.addfile(entry, file)' | tar -x -C "$work"
enhanced() { # URL, file: whether the answer is at least 1.5 times as bright
    curl -fsS -D "$work/headers" --data-binary @"$2" "$1/enhance" -o "$work/bright" || return 1
    awk -F': ' 'tolower($1) == "nightlift-luminance-before" {b = $2} tolower($1) == "nightlift-luminance-after" {a = $2}
        END {exit !(a > 1.5 * b)}' "$work/headers"
}
for photo in "$work"/dark.*; do enhanced "$service" "$photo" || fail "$photo is not brighter"; done
grep -i '^nightlift-' "$work/headers"

if has prometheus; then
    say "Prometheus scrapes the service and counts its pictures"
    query() { curl -fsS --get "$prometheus/api/v1/query" --data-urlencode "query=$1" | grep -q '"value":\[[^]]*"[1-9]'; }
    until_true 60 "the target is not up" query 'up{job="nightlift"}'
    until_true 60 "no pictures are counted" query 'sum(nightlift_pictures_total)'
fi

say "stopping under traffic loses no requests"
# `patient` clients send photos as long as the readiness probe succeeds, like a load balancer. `stubborn` ones never check,
# and open a new connection for every photo to Docker's port, which accepts connections even when no service listens, so
# requests that they send after the service has closed are expected to fail. A line has the start time, the seconds until
# connected, the status and curl's exit code.
send() {
    local start; start=$(date +%s.%N)
    curl -s -o /dev/null -w "$start %{time_connect} %{http_code} %{exitcode}\n" --data-binary @"$work/dark.jpeg" \
        "$service/enhance" || true
}
ready() { [ "$(curl -s -o /dev/null -w '%{http_code}' "$service/readyz")" = 200 ]; }
for client in 1 2; do while ready; do send; done >"$work/patient.$client" & done
for client in 1 2 3; do while [ ! -e "$work/stopped" ]; do send; done >"$work/stubborn.$client" & done
sleep 3
"${compose[@]}" stop nightlift
touch "$work/stopped"
wait
# The time in the service's own log: Docker's timestamps are up to a tenth of a second later on a busy machine.
closed=$("${compose[@]}" logs --no-log-prefix nightlift | grep -F 'closed: no new connection' | tail -1 \
    | python3 -c 'import json, sys; print(json.loads(sys.stdin.read())["time"])')
closed=$(date -d "$closed" +%s.%N)
for kind in patient stubborn; do
    cat "$work/$kind".* | awk -v closed="$closed" -v kind="$kind" '
        {late = $1 + $2 > closed - 0.05; ok = $3 == 200 && $4 == 0}
        ok {answered++} !ok && !late {lost++; print} !ok && late {after++}
        END {printf "%s: %d answered, %d lost, %d came after the end\n", kind, answered, lost, after
             exit lost > 0 || answered == 0}' || fail "requests were lost"
done
! grep -vq ' 200 0$' "$work"/patient.* || fail "requests of patient clients were lost"
exit_code=$(docker inspect "$("${compose[@]}" ps --all --quiet nightlift)" --format '{{.State.ExitCode}}')
[ "$exit_code" = 0 ] || fail "the service ended with $exit_code"

if has prometheus && has alertmanager; then
    say "the alert for a stopped service reaches Alertmanager"
    arrived() { curl -fsS "$alertmanager/api/v2/alerts" | grep -q NightliftDown; }
    until_true 240 "no alert arrived" arrived
fi
"${compose[@]}" up --detach --wait --no-build nightlift

if has proxy; then
    say "several front ends, one killed under traffic"
    proxy=http://127.0.0.1:${PROXY_PORT:-8080}
    "${compose[@]}" up --detach --wait --no-build nightlift-replica proxy
    enhanced "$proxy" "$work/dark.jpeg" || fail "no enhanced photo comes back through the proxy"
    rm -f "$work/stopped"
    for client in 1 2 3; do
        while [ ! -e "$work/stopped" ]; do
            curl -s -o /dev/null -w '%{http_code} %{exitcode}\n' --data-binary @"$work/dark.jpeg" "$proxy/enhance" || true
        done >"$work/scale.$client" &
    done
    sleep 4
    "${compose[@]}" ps --quiet nightlift-replica | head -1 | xargs docker kill >/dev/null
    sleep 6
    touch "$work/stopped"
    wait
    sort "$work"/scale.* | uniq -c
    ! grep -vqx '200 0' "$work"/scale.* || fail "requests were lost"
    for replica in $("${compose[@]}" ps --quiet nightlift-replica); do
        docker exec "$replica" python -c '
import re, urllib.request
text = urllib.request.urlopen("http://127.0.0.1:8000/metrics").read().decode()
print("a front end answered", sum(map(float, re.findall(r"^nightlift_pictures_total{.*} (\S+)", text, re.M))))'
    done
    "${compose[@]}" rm --force --stop nightlift-replica proxy >/dev/null 2>&1
fi

if has triton; then
    say "a front end that uses Triton"
    "${compose[@]}" up --detach --wait --no-build triton nightlift-triton
    for _ in 1 2 3 4 5; do
        enhanced http://127.0.0.1:8020 "$work/dark.jpeg" || fail "no enhanced photo comes back from Triton"
    done
    curl -fsS http://127.0.0.1:18002/metrics | grep '^nv_inference_request_success' | grep -v ' 0$'
    if has prometheus; then
        until_true 60 "Triton is not scraped" query 'sum(nv_inference_request_success{job="triton"})'
    fi
fi
say "all passed: $here"
