#!/usr/bin/env bash
# Builds judge-crds, which says whether the oldest supported Kubernetes minor
# would accept our CRDs (see main.go). A module of its own: its k8s.io versions
# must not meet those of the control plane.
#
#   build.sh           build it if it is missing, print the path of the program
#   build.sh --where   only print that path; exit 3 if it is not built
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../../setup/common.sh

key="$({ cat go.mod go.sum ./*.go; uname -sm; } | key_of_stdin)"
home="$(cache_dir)/judge-crds/$key"

if [ "${1:-}" = --where ]; then
    printf '%s\n' "$home/judge-crds"
    [ -d "$home" ] || exit 3
    exit 0
fi

if [ ! -d "$home" ]; then
    need go "judge-crds is a Go program"
    lock judge-crds
fi
version="$(sed -n 's/^[[:space:]]*k8s\.io\/apiextensions-apiserver \(v[0-9.]*\)$/\1/p' go.mod)"
if [ -d "$home" ]; then
    say "CRD judge (apiextensions-apiserver $version): already built"
else
    started=$SECONDS
    say "CRD judge (apiextensions-apiserver $version): building (about 2 minutes on two cores) ..."
    export CGO_ENABLED=0 GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
    unfinished="$(unfinished_beside "$home")"
    trap 'rm -rf "$unfinished"' EXIT
    go build -ldflags "-s -w" -o "$unfinished/judge-crds" . >&2
    publish "$unfinished" "$home"
    say "CRD judge: done in $(elapsed "$started")"
fi
printf '%s\n' "$home/judge-crds"
