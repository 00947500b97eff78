#!/usr/bin/env bash
# The deployment, for real: builds the image, brings the default profile up, enhances a photo, sees Prometheus count it,
# kills the service until the alert has reached Alertmanager, and stops it under traffic. One command: docker/verify.sh
# It skips with a reason where no engine runs, and leaves out the images that can be neither found nor pulled.
# With BUILD=0 it takes the image nightlift:local as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
skip() { printf 'skipped: %s\n' "$*"; exit 0; }
until_true() { # seconds, what, command...
    local end=$((SECONDS + $1)) what=$2; shift 2
    until "$@" >/dev/null 2>&1; do ((SECONDS < end)) || fail "$what"; sleep 1; done
}
present() { docker image inspect "$1" >/dev/null 2>&1 || timeout 300 docker pull --quiet "$1" >/dev/null 2>&1; }

command -v docker >/dev/null || skip "no docker command"
docker info >/dev/null 2>&1 || skip "no Docker engine answers"
if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
"${compose[@]}" version >/dev/null 2>&1 || skip "no docker compose"
present "${PYTHON_IMAGE:-python:3.12-slim}" || skip "python:3.12-slim is not here and cannot be pulled"

services=(nightlift)
for service in prometheus alertmanager grafana; do
    image=$("${compose[@]}" config --images "$service" | grep -F "$service" | head -1)
    if present "$image"; then services+=("$service"); else echo "not exercised: $service ($image cannot be had)"; fi
done
has() { [[ " ${services[*]} " == *" $1 "* ]]; }

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
(((size - base) < 450000000)) || fail "the image is too large"

say "a photo comes back enhanced"
"${compose[@]}" exec -T nightlift python -c '
import io, sys, numpy, PIL.Image
ramp = numpy.random.default_rng(0).normal(18, 6, (400, 600, 3)).clip(0, 255).astype("uint8")
PIL.Image.fromarray(ramp).save(sys.stdout.buffer, "JPEG")' >"$work/dark.jpg"
curl -fsS -D "$work/headers" --data-binary @"$work/dark.jpg" "$service/enhance" -o "$work/bright.jpg"
grep -i '^nightlift-' "$work/headers"
awk -F': ' 'tolower($1) == "nightlift-luminance-before" {b = $2} tolower($1) == "nightlift-luminance-after" {a = $2}
    END {exit !(a > 1.5 * b)}' "$work/headers" || fail "the picture is not brighter"

if has prometheus; then
    say "Prometheus sees the service and what it did"
    query() { curl -fsS --get "$prometheus/api/v1/query" --data-urlencode "query=$1" | grep -q '"value":\[[^]]*"[1-9]'; }
    until_true 60 "the target is not up" query 'up{job="nightlift"}'
    until_true 60 "the metrics do not move" query 'sum(nightlift_pictures_total)'
fi

say "stopping under traffic loses nothing"
sent="$work/codes"; : >"$sent"
for client in 1 2 3; do
    # As behind a load balancer: a client is sent here as long as the probe says ready, and then every answer must come.
    while [ "$(curl -s -o /dev/null -w '%{http_code}' "$service/readyz")" = 200 ]; do
        curl -s -o /dev/null -w '%{http_code} %{exitcode}\n' --data-binary @"$work/dark.jpg" "$service/enhance" >>"$sent" || true
    done &
done
sleep 3
"${compose[@]}" stop nightlift
wait
sort "$sent" | uniq -c
! grep -vqx '200 0' "$sent" || fail "requests were lost"
exit_code=$(docker inspect "$("${compose[@]}" ps --all --quiet nightlift)" --format '{{.State.ExitCode}}')
[ "$exit_code" = 0 ] || fail "the service ended with $exit_code"

if has prometheus && has alertmanager; then
    say "the alert of a service that is gone reaches Alertmanager"
    arrived() { curl -fsS "$alertmanager/api/v2/alerts" | grep -q NightliftDown; }
    until_true 240 "no alert arrived" arrived
fi
say "everything holds: ${services[*]}"
