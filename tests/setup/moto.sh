#!/usr/bin/env bash
# Makes the Python environment that holds moto's server: a second opinion on
# EC2, beside our own stand-in, and the tests' SQS.
#
#   moto.sh           make it if it is missing, print its bin directory
#   moto.sh --where   only print its bin directory; exit 3 if it is not made
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./common.sh

python_environment requirements-moto.txt "moto's server" \
    "moto, the second opinion on EC2, is a Python program" moto.server "$@"
