#!/usr/bin/env bash
# The workspace's environment, then what the container is to run.
set -eo pipefail
source /opt/ros/jazzy/setup.bash
source /lwd/install/setup.bash
exec "$@"
