#!/usr/bin/env bash
# Announces a long step: what is done now, and how long it may take.
set -euo pipefail
printf '\n== %s: %s (%s)\n' "$(date +%H:%M:%S)" "$1" "$2"
