"""Metric depth from one defocused camera."""

import os

# How long OpenMP threads spin for the next piece of work before they sleep: about 0.1 ms. By default it is 3 ms, which
# takes a busy machine from everything else: with a camera, a recorder and a network on two cores a frame took two to
# seven times as long. Without any, waking them up takes a third of the time of a frame. Read when torch is imported.
if 'OMP_WAIT_POLICY' not in os.environ:
    os.environ.setdefault('GOMP_SPINCOUNT', '10000')
