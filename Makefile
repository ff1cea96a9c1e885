# make demo and make test do all of their own set-up, in .venv, without root.

PYTHON ?= python3
NEWEST ?= python3.13 # Of what test-newest runs on.
RUN := .venv/bin/python
S2F := $(RUN) -m s2f_jax.main
PIP := -m pip --quiet --disable-pip-version-check

.PHONY: demo real person table test test-newest slow fuzz plan lint docs wheel locks next findings clean

# What training, evaluating and generating need; and with it what developing needs.
.venv/run: requirements/run.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(RUN) $(PIP) install --no-compile -r requirements/run.txt
	$(RUN) $(PIP) install --no-deps -e .
	touch $@

.venv/dev: .venv/run requirements/dev.txt requirements/torch.txt
	$(RUN) $(PIP) install -r requirements/dev.txt
	$(RUN) $(PIP) install -r requirements/torch.txt
	.venv/bin/pyright --version >/dev/null # Fetches itself once, so that later nothing is fetched.
	touch $@

# The exact versions, of which pyproject.toml has the ranges. UPGRADE=--upgrade takes the newest;
# without it what is there stays as far as it can.
locks: .venv/dev
	.venv/bin/uv $(COMPILE) --extra dev --extra docs --extra data -o requirements/dev.txt
	.venv/bin/uv $(COMPILE) -c requirements/dev.txt --extra data -o requirements/run.txt
	for extra in cuda tpu plan; do .venv/bin/uv $(COMPILE) -c requirements/run.txt --extra $$extra \
	  -o requirements/$$extra.txt || exit; done

COMPILE = pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
  --no-annotate --custom-compile-command "make locks" $(UPGRADE)

# A corpus drawn by code, a trained model, its evaluation, a video of an unseen speaker, a gallery.
demo: .venv/run
	$(S2F) prepare --config=configs/demo.py
	$(S2F) --config=configs/demo.py
	$(S2F) evaluate --config=configs/demo.py
	$(RUN) launch/demo_video.py
	rm -rf runs/demo/gallery
	$(S2F) gallery --checkpoint=runs/demo --output=runs/demo/gallery

# A talking head of whoever speaks in TAKE, a video or a folder of videos: docs/tutorials/person.md.
# START_FROM=RUN begins with that run's networks.
person: .venv/run
	@test -e "$(TAKE)" || { echo "TAKE=$(TAKE): give your video, make person TAKE=me.mp4" >&2; exit 2; }
	$(S2F) prepare --config=configs/person.py --manual_dir="$(TAKE)"
	$(S2F) --config=configs/person.py $(if $(START_FROM),--start_from="$(START_FROM)")
	$(S2F) evaluate --config=configs/person.py
	$(RUN) launch/demo_video.py runs/person
	rm -rf runs/person/gallery
	$(S2F) gallery --checkpoint=runs/person --output=runs/person/gallery

# Every claim on the demo corpus: what reads lips and what hears sync, the baseline, ablations, the
# table. Stopped, it goes on by the same command.
VARIANTS := static_baseline,l1_only,frame_only,sequence_only,with_sync,sequence_without_sound,no_noise
table: .venv/run
	$(S2F) prepare --config=configs/demo.py
	$(S2F) --config=configs/lipreader_demo.py
	$(S2F) evaluate --config=configs/lipreader_demo.py
	$(S2F) --config=configs/syncnet_demo.py
	$(S2F) evaluate --config=configs/syncnet_demo.py
	$(S2F) ablate --config=configs/demo.py --workdir=runs/table_demo --variants=$(VARIANTS)

# One real person, from clips to page. GRID=FOLDER is a copy of the corpus; without it speaker 1 is
# downloaded. Stopped, it goes on by the same command.
real: .venv/run
	$(S2F) prepare --config=configs/grid_s1.py $(GRID:%=--manual_dir=%)
	$(S2F) --config=configs/lipreader_s1.py
	$(S2F) --config=configs/syncnet_s1.py
	$(S2F) --config=configs/lip_expert_s1.py
	$(S2F) --config=configs/grid_s1.py
	$(S2F) evaluate --config=configs/grid_s1.py
	rm -rf runs/grid_s1/gallery
	$(S2F) gallery --checkpoint=runs/grid_s1 --output=runs/grid_s1/gallery

test: lint docs
	$(RUN) -m pytest -n 2 --dist worksteal

# The same tests with what Python 3.12 and newer get: later releases of jax, PyAV, NumPy and others.
.venv-newest/dev: requirements/dev.txt pyproject.toml
	$(NEWEST) -m venv .venv-newest
	.venv-newest/bin/python $(PIP) install -r requirements/dev.txt
	.venv-newest/bin/python $(PIP) install --no-deps -e .
	touch $@

test-newest: .venv-newest/dev
	.venv-newest/bin/python -m pytest -n 2 --dist worksteal

# And with what is to come: pre-releases, where the index has any, beyond the ranges' ceilings. It
# changes no lock: to read and to act on.
next: .venv/dev
	.venv/bin/uv venv --quiet --clear --python $(NEWEST) .venv-next
	.venv/bin/uv pip install --quiet --prerelease allow --override requirements/next.txt \
	  --python .venv-next/bin/python -e '.[data,dev,docs]'
	.venv/bin/uv pip compile --quiet --no-deps --no-header --no-annotate --python-version 3.13 \
	  requirements/dev.txt | sort >.venv-next/locked
	.venv/bin/uv pip freeze --exclude-editable --python .venv-next/bin/python | sort \
	  | diff --unchanged-line-format= --old-line-format= --new-line-format='not locked: %L' \
	  .venv-next/locked - || true
	.venv-next/bin/python -m pytest -n 2 --dist worksteal -W default

# What the training step needs on chips that are not here, by their compilers, half an hour: fails where it is
# more than 3 % above tests/plan_gate.json. UPDATE=--update writes that anew.
plan: requirements/plan.txt
	$(PYTHON) -m venv .venv-plan
	.venv-plan/bin/python $(PIP) install -r requirements/plan.txt
	.venv-plan/bin/python -m tests.plan_gate $(UPDATE)

# Minutes long: two clips overfitted past 35 dB, and whatever else is marked slow.
slow: .venv/dev
	$(RUN) -m pytest -m slow

# 500 bad inputs to the commands that people give files to, and the program between real pipes.
fuzz: .venv/dev
	$(RUN) -m pytest -m '' -n 2 --dist worksteal tests/fuzz

lint: .venv/dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	.venv/bin/shellcheck launch/*.sh findings/*.sh .ci/run
	.venv/bin/hadolint launch/Dockerfile

# dist/*.whl, checked as an index would; `make test` installs one outside the checkout and uses it.
wheel: .venv/dev
	rm -rf build dist
	$(RUN) -m build --wheel --no-isolation
	$(RUN) -m twine check --strict dist/*.whl

# What the libraries did when it was written down: installs them from PyPI, some ten minutes.
findings:
	for script in findings/*.sh; do echo "$$script"; "$$script" || exit; done

# The site of docs/ and of the docstrings, into site/; offline. A warning is an error.
docs: .venv/dev
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet --strict

clean:
	rm -rf .venv .venv-newest .venv-next .venv-plan build dist runs site
