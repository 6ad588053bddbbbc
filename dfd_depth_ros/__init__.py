"""Metric depth from one defocused camera."""

import os

# OpenMP threads that spin while they wait take a busy machine from everything else: with a camera, a recorder and a
# network on two cores a frame took two to seven times as long. It is read when torch is first imported.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
