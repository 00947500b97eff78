#!/bin/sh
# Numba reads its cache only from a folder that it may write to, so the image's is put into /tmp (300 kB) first. The
# service then takes this process's place, so that it gets the signals itself.
set -eu
mkdir -p "$NUMBA_CACHE_DIR"
cp -R /opt/nightlift/numba-cache/. "$NUMBA_CACHE_DIR"
exec "$@"
