#!/bin/sh
# The recording rules and alerts for the Prometheus operator: docker/kubernetes/rules.sh | kubectl apply -f -
cd "$(dirname "$0")/../prometheus/rules" || exit
for file in *.yml; do
    printf -- '---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n'
    printf 'metadata: { name: nightlift-%s }\nspec:\n' "${file%.yml}"
    sed 's/^/  /' "$file"
done
