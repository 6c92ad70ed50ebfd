#!/usr/bin/env bash
# Makes the Python environment that holds the AWS CLI and boto3 for the tests:
# real clients, not ours, must read what our EC2 stand-in says.
#
#   python.sh           make it if it is missing, print its bin directory
#   python.sh --where   only print its bin directory; exit 3 if it is not made
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./common.sh

requirements=requirements.txt
if [ "${1:-}" != --where ]; then
    need python3 "the AWS CLI that judges our EC2 stand-in is a Python program"
elif ! command -v python3 >/dev/null 2>&1; then
    exit 3
fi
key="$({ cat "$requirements"; python3 --version; } | key_of_stdin)"
home="$(cache_dir)/python/$key"
finished="$home/.finished"

if [ "${1:-}" = --where ]; then
    printf '%s\n' "$home/bin"
    [ -e "$finished" ] || exit 3
    exit 0
fi

lock python
if [ -e "$finished" ]; then
    say "Python environment: already made"
else
    started=$SECONDS
    say "Python environment: installing the AWS CLI and boto3 (about 1 minute) ..."
    # An environment knows its own path, so it cannot be made elsewhere and
    # moved here. The file .finished says instead whether it is whole.
    rm -rf "$home"
    mkdir -p "$(dirname "$home")"
    python3 -m venv "$home" ||
        die "'python3 -m venv' failed; on Debian and Ubuntu it needs the package python3-venv"
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --requirement "$requirements" >&2
    "$home/bin/python" -c 'import boto3, awscli'
    touch "$finished"
    say "Python environment: done in $(elapsed "$started")"
fi
printf '%s\n' "$home/bin"
