#!/usr/bin/env bash
# Builds the control plane that the tests run against: kube-apiserver, kubectl
# and etcd, from the Go modules pinned in go.mod beside this script. Prebuilt
# binaries would have to be downloaded from somewhere; modules come from the
# same proxy and the same checksums (go.sum) as any Go program's.
#
#   build.sh           build what is missing, print the directory of the binaries
#   build.sh --where   only print that directory; exit 3 if it is not built
#
# KUBEBUILDER_ASSETS, the variable known from controller-runtime's envtest,
# names a directory that already holds the three binaries: nothing is built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../setup/common.sh

binaries=(etcd kube-apiserver kubectl)

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    for binary in "${binaries[@]}"; do
        [ -x "$KUBEBUILDER_ASSETS/$binary" ] ||
            die "KUBEBUILDER_ASSETS is set to $KUBEBUILDER_ASSETS, which holds no '$binary'"
    done
    [ "${1:-}" = --where ] || say "control plane: KUBEBUILDER_ASSETS is set, nothing to build"
    printf '%s\n' "$KUBEBUILDER_ASSETS"
    exit 0
fi

# Without the stamp the server calls itself "v0.0.0-master+$Format:%H$", which
# `kubectl version` cannot read.
version="$(sed -n 's/^[[:space:]]*k8s\.io\/kubernetes \(v[0-9.]*\)$/\1/p' go.mod)"
IFS=. read -r major minor _ <<<"${version#v}"
stamp=k8s.io/component-base/version
ldflags="-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=$major -X $stamp.gitMinor=$minor"
ldflags+=" -X $stamp.gitTreeState=clean"

key="$({ cat go.mod go.sum; printf '%s\n' "$ldflags"; uname -sm; } | key_of_stdin)"
assets="$(cache_dir)/controlplane/$key"

if [ "${1:-}" = --where ]; then
    printf '%s\n' "$assets"
    [ -d "$assets" ] || exit 3
    exit 0
fi

if [ ! -d "$assets" ]; then
    need go "kube-apiserver is built from source (or set KUBEBUILDER_ASSETS to a directory with ${binaries[*]})"
    lock controlplane
fi
if [ -d "$assets" ]; then
    say "control plane: Kubernetes $version already built"
else
    started=$SECONDS
    say "control plane: building Kubernetes $version and etcd from source, once per version"
    say "  (about 5 to 10 minutes on two cores and 2.4 GB of memory, plus the download of the modules) ..."
    # Go's own caches stay where they are: they are outside the checkout, and
    # with them the next version builds in a fraction of that time.
    # No cgo: then no C compiler is needed, and the binaries run anywhere.
    export CGO_ENABLED=0 GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
    unfinished="$(unfinished_beside "$assets")"
    trap 'rm -rf "$unfinished"' EXIT
    build() { # build BINARY PACKAGE
        local begun=$SECONDS
        say "  $1 ..."
        go build -ldflags "$ldflags" -o "$unfinished/$1" "$2" >&2
        say "  $1: done in $(elapsed "$begun")"
    }
    build etcd go.etcd.io/etcd/server/v3
    build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
    build kubectl k8s.io/kubernetes/cmd/kubectl
    publish "$unfinished" "$assets"
    say "control plane: done in $(elapsed "$started")"
fi
printf '%s\n' "$assets"
