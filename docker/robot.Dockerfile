# A robot's machine: driver, actor, recorder, uploader, policy receiver.
# docker build -f docker/robot.Dockerfile -t lwd-robot .
FROM ros:jazzy-ros-base

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_NO_CACHE_DIR=1
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        libegl1 libegl-mesa0 libgl1-mesa-dri python3-pip \
        ros-jazzy-joy ros-jazzy-robot-state-publisher ros-jazzy-rmw-zenoh-cpp \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /lwd
COPY requirements/run.txt requirements/run.txt
RUN python3 -m pip install -r requirements/run.txt
COPY . .
RUN . /opt/ros/jazzy/setup.sh && colcon build --merge-install

COPY docker/entrypoint.sh /entrypoint.sh
ENTRYPOINT ["/entrypoint.sh"]
CMD ["ros2", "launch", "launch/sim_robot.launch.py"]
