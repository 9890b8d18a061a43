# Everything runs in .venv, which is made from pyproject.toml when it is missing or older.
# The first Python that runs and is new enough; a command of the name may be a shim that does not.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin

.PHONY: demo repl test check bench bench-order fuzz golden docs screenshots clean

BOOKSELLER := klorpy/examples/bookseller.hy buy-book @klorpy/examples/data/order.json @klorpy/examples/data/catalogue.json

demo: .venv/.installed ## type-check, project and run the bookseller; then play it with a process for each role
	@$(BIN)/klorpy run $(BOOKSELLER) --project
	@printf '\nThe same, each role in a process of its own:\n\n'
	@$(BIN)/klorpy launch $(BOOKSELLER)

repl: .venv/.installed ## open the REPL
	@$(BIN)/klorpy

test: .venv/.installed ## all tests, types and style
	$(BIN)/ruff check klorpy tests docs
	$(BIN)/mypy
	$(BIN)/pytest -q -n 2

check: test

bench-order: .venv/.installed ## what order buys, in virtual time, beside the closed forms
	$(BIN)/python -m tests.benchmarks.order

bench: .venv/.installed ## ratios against named baselines, side by side
	$(BIN)/python -m tests.benchmarks

fuzz: .venv/.installed ## the theorems on generated programs and terms, damaged frames and damaged exchanges
	$(BIN)/python tests/theorems/fuzz.py --programs 50000 --seed 1 --jobs 2
	KLORPY_FUZZ=50 $(BIN)/pytest -q -n 2 tests/conversations/test_reference.py tests/conversations/test_properties.py
	$(BIN)/python tests/theorems/fuzz_merging.py --programs 40000 --seed 1 --jobs 2
	$(BIN)/python -m tests.theorems.fuzz_contracts --terms 20000 --seed 1 --jobs 2
	PYTHONPATH=. $(BIN)/python tests/runtime/fuzz_codec.py --inputs 100000 --seed 1
	$(BIN)/python -m tests.runtime.sessions.fuzz_tcp --sequences 10000 --seed 1

golden: .venv/.installed ## rewrite the golden files from what the compiler says now
	$(BIN)/pytest -q tests/golden tests/docs tests/environment --refresh-golden

docs: .venv/.installed ## the documentation as a site, in docs/_build
	$(BIN)/python -m sphinx -q -W --keep-going docs docs/_build
	@echo "docs/_build/index.html"

screenshots: .venv/.installed ## pictures of the executed notebooks, in build/notebooks (needs chromium)
	@mkdir -p build/notebooks
	$(BIN)/jupyter nbconvert --to html --execute --output-dir build/notebooks notebooks/*.ipynb
	@for page in build/notebooks/*.html; do \
	  chromium --headless --no-sandbox --hide-scrollbars --window-size=1000,3000 --virtual-time-budget=5000 \
	    --screenshot=$${page%.html}.png file://$(CURDIR)/$$page 2>/dev/null; done; ls build/notebooks/*.png

.venv/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "klorpy needs Python 3.11 or newer; name it with make PYTHON=…"; exit 1; }
	@echo "Setting up .venv (once) …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
