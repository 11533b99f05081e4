#!/usr/bin/env bash
# Prepares a machine: Debian packages, a virtual environment with ROS 2 Jazzy as wheels, the build.
# Safe to run again: each step is skipped when its inputs have not changed. Says what it does.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
venv=$root/.venv
log=$(mktemp)
trap 'rm -f "$log"' EXIT
say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
die() { printf '[setup] %s\n' "$*" >&2; exit 1; }
# Runs a command; what it prints is shown only if it fails.
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; die "failed: $*"; }; }
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else
    command -v sudo >/dev/null || die "needs root: $*"
    sudo "$@"
  fi
}
install() {
  say "installing Debian packages: $*"
  quietly as_root apt-get update
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# 1. Debian packages: a compiler for the interfaces, EGL for headless rendering.
packages=(cmake g++ make libegl1 libegl-mesa0 libgl1-mesa-dri)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then install "${missing[@]}"; fi

# 2. Python 3.11 or 3.12 with headers.
python=${PYTHON:-}
if [ -z "$python" ]; then
  for candidate in python3.11 python3.12 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
      python=$candidate
      break
    fi
  done
fi
[ -n "$python" ] || die "need Python 3.11 or 3.12; name one with PYTHON=/path/to/python"
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
if [ ! -f "$include/Python.h" ] || ! "$python" -c 'import ensurepip' 2>/dev/null; then
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  install "python$version-dev" "python$version-venv"
fi

# 3. The virtual environment, when its requirements have changed.
wanted=$({ cat requirements/*.txt tools/repair_ros_cmake.py; "$python" --version; } | sha256sum)
if [ "$(cat "$venv/.requirements" 2>/dev/null)" != "$wanted" ]; then
  say "creating .venv with $("$python" --version) and ROS 2 Jazzy from wheels (about half a minute)"
  "$python" -m venv --clear "$venv"
  quietly "$venv/bin/python" -m pip install --disable-pip-version-check -c requirements/constraints.txt \
    -r requirements/ros.txt -r requirements/run.txt -r requirements/dev.txt
  "$venv/bin/python" tools/repair_ros_cmake.py
  rm -rf build install
  echo "$wanted" >"$venv/.requirements"
fi

# 4. colcon build, when something that it copies or generates has changed.
wanted=$(find src colcon.meta -type f \( -path 'src/lwd_msgs/*' -o -name package.xml -o -name 'setup.*' \
  -o -name colcon.meta \) -print0 | sort -z | xargs -0 sha256sum | sha256sum)
wanted+=$({ ls config launch; find src -name __init__.py; } | sort | sha256sum)
if [ "$(cat install/.built 2>/dev/null)" != "$wanted" ]; then
  say "colcon build"
  quietly env CMAKE_PREFIX_PATH="$venv" AMENT_PREFIX_PATH="$venv" \
    "$venv/bin/colcon" build --merge-install --symlink-install
  echo "$wanted" >install/.built
fi
say "ready"
