#!/usr/bin/env bash
# Makes the Python environment that holds the AWS CLI and boto3 for the tests:
# real clients, not ours, must read what our EC2 stand-in says.
#
#   python.sh           make it if it is missing, print its bin directory
#   python.sh --where   only print its bin directory; exit 3 if it is not made
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./common.sh

python_environment requirements.txt "the AWS CLI and boto3" \
    "the AWS CLI that judges our EC2 stand-in is a Python program" "boto3, awscli" "$@"
