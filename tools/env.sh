# Source this in bash: puts the workspace's Python, nodes and libraries on the paths.
# With ROS 2 Jazzy installed it takes that; otherwise the virtual environment made by tools/setup.sh.
_lwd_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -d "$_lwd_root/.venv" ]; then
  export PATH="$_lwd_root/.venv/bin:$PATH"
  _lwd_wheels=$_lwd_root/.venv
elif [ -f /opt/ros/jazzy/setup.bash ]; then
  source /opt/ros/jazzy/setup.bash
else
  echo "no .venv and no /opt/ros/jazzy: run tools/setup.sh first" >&2
fi
if [ -f "$_lwd_root/install/setup.bash" ]; then
  source "$_lwd_root/install/setup.bash"
else
  echo "not built yet: run tools/setup.sh (or colcon build) first" >&2
fi
# Wheels keep their packages' shares in the virtual environment.
if [ -n "${_lwd_wheels:-}" ]; then
  export AMENT_PREFIX_PATH="${AMENT_PREFIX_PATH:+$AMENT_PREFIX_PATH:}$_lwd_wheels"
fi
: "${MUJOCO_GL:=egl}"
export MUJOCO_GL
unset _lwd_root _lwd_wheels
