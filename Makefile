# make demo and make test do all of their own set-up, in .venv, without root.

PYTHON ?= python3
RUN := .venv/bin/python
S2F := $(RUN) -m s2f_jax.main

.PHONY: demo table test slow fuzz lint docs wheel findings clean

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	.venv/bin/pyright --version >/dev/null # Fetches itself once, so that later nothing is fetched.
	touch $@

# A corpus drawn by code, a trained model, its evaluation, a video of an unseen speaker, a gallery.
demo: .venv/ready
	$(S2F) prepare --config=configs/demo.py
	$(S2F) --config=configs/demo.py
	$(S2F) evaluate --config=configs/demo.py
	$(RUN) launch/demo_video.py
	rm -rf runs/demo/gallery
	$(S2F) gallery --checkpoint=runs/demo --output=runs/demo/gallery

# Every claim on the demo corpus: what reads lips and what hears sync, the baseline, ablations, the
# table. Stopped, it goes on by the same command.
VARIANTS := static_baseline,l1_only,frame_only,sequence_only,with_sync,sequence_without_sound,no_noise
table: .venv/ready
	$(S2F) prepare --config=configs/demo.py
	$(S2F) --config=configs/lipreader_demo.py
	$(S2F) evaluate --config=configs/lipreader_demo.py
	$(S2F) --config=configs/syncnet_demo.py
	$(S2F) evaluate --config=configs/syncnet_demo.py
	$(S2F) ablate --config=configs/demo.py --workdir=runs/table_demo --variants=$(VARIANTS)

test: lint docs
	$(RUN) -m pytest -n 2 --dist worksteal

# Minutes long: two clips overfitted past 35 dB, and whatever else is marked slow.
slow: .venv/ready
	$(RUN) -m pytest -m slow

# 500 bad inputs to the commands that people give files to, and the program between real pipes.
fuzz: .venv/ready
	$(RUN) -m pytest -m '' -n 2 --dist worksteal tests/fuzz

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	.venv/bin/shellcheck launch/*.sh findings/*.sh .ci/run
	.venv/bin/hadolint launch/Dockerfile

# dist/*.whl, checked as an index would; `make test` installs one outside the checkout and uses it.
wheel: .venv/ready
	rm -rf build dist
	$(RUN) -m build --wheel --no-isolation
	$(RUN) -m twine check --strict dist/*.whl

# What the libraries did when it was written down: installs them from PyPI, some ten minutes.
findings:
	for script in findings/*.sh; do echo "$$script"; "$$script" || exit; done

# The site of docs/ and of the docstrings, into site/; offline. A warning is an error.
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet --strict

clean:
	rm -rf .venv build dist runs site
