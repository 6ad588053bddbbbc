# ROS 2 with the package built in. Nothing is fetched at run time: weights and lens files are part of it.
#   docker build -t dfd_depth_ros .        another distribution: --build-arg ROS_DISTRO=jazzy
# For the small CPU build of PyTorch: --build-arg PIP_EXTRA_INDEX_URL=<PyTorch's CPU index>
ARG ROS_DISTRO=kilted
FROM ros:${ROS_DISTRO}-ros-base
ARG PIP_EXTRA_INDEX_URL=
SHELL ["/bin/bash", "-c"]
WORKDIR /ws
COPY . src/dfd_depth_ros
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip python3-colcon-common-extensions \
    && rosdep update && PIP_BREAK_SYSTEM_PACKAGES=1 rosdep install --from-paths src -yi --skip-keys rviz2 \
    && pip install --no-cache-dir --break-system-packages mcap safetensors \
    && source /opt/ros/$ROS_DISTRO/setup.bash && colcon build --packages-select dfd_depth_ros \
    && rm -rf /var/lib/apt/lists/*
RUN printf '#!/bin/bash\nset -e\nsource /opt/ros/$ROS_DISTRO/setup.bash\nsource /ws/install/setup.bash\nexec "$@"\n' \
    >/entrypoint && chmod +x /entrypoint
ENTRYPOINT ["/entrypoint"]
CMD ["ros2", "launch", "dfd_depth_ros", "depth.launch.py"]
