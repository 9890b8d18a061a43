"""The laws of sessions and merging on as many generated choreographies as wanted:

    python tests/theorems/fuzz_merging.py --programs 40000 --seed 1 --jobs 2

Prints what every law answered how often, and each failure with its seed and its choreography. The exit status is 1 when
there are failures. `--only SEED` tries one choreography again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial

from klorpy.behaviour.globalcalculus import Start, interactions
from klorpy.testing import session_laws as laws
from klorpy.testing.sessions import ROLES, SessionProgram, global_type, session_program_of

LAWS: tuple[Callable[[SessionProgram], object], ...] = (
    laws.correct, laws.complete_out_of_order, laws.typed, laws.reduces, laws.idempotent, laws.preserved,
    laws.uses_fewer_labels, laws.projections_agree, laws.notified, laws.runs_alike, laws.extracts, laws.chor_reads_back,
)  # fmt: skip
CHUNK = 200


def try_seed(seed: int) -> tuple[Counter[str], list[str]]:
    answers: Counter[str] = Counter()
    failures: list[str] = []

    def attempt(name: str, law: Callable[[], object], what: str) -> None:
        try:
            answer = law()
        except Exception as error:
            answer = "fails"
            why = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
            failures.append(f"{name} fails: --only {seed}\n{what}\n{why}")
        if isinstance(answer, Counter):
            answers.update({f"{name}: {word}": count for word, count in answer.items()})
        else:
            answers[f"{name}: {answer or 'holds'}"] += 1

    source = random.Random(seed)
    type_ = global_type(source, ROLES[: source.randint(2, 4)], source.randint(1, 14))
    attempt("reads_back", partial(laws.reads_back, type_), str(type_))
    attempt("full_extends_plain", partial(laws.full_extends_plain, type_, ROLES), str(type_))
    attempt("projections_fit", partial(laws.projections_fit, type_, ROLES, source), str(type_))
    program = session_program_of(seed, source.choice((4, 8, 12, 20)))
    if all(isinstance(step, Start) for step in interactions(program.chor)):
        answers["nothing to merge"] += 1
        return answers, failures
    for law in LAWS:
        attempt(law.__name__, partial(law, program), program.text)
    attempt("swaps_to_in_order", partial(laws.swaps_to_in_order, program, source), program.text)
    attempt("mesh_rejects", partial(laws.mesh_rejects, program, source), program.text)
    return answers, failures


def try_chunk(seeds: range) -> tuple[Counter[str], list[str]]:
    answers: Counter[str] = Counter()
    failures: list[str] = []
    for seed in seeds:
        found, wrong = try_seed(seed)
        answers += found
        failures += wrong
    return answers, failures


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="run the laws of sessions and merging on generated choreographies")
    parser.add_argument("--programs", type=int, default=40_000, help="how many choreographies (40000)")
    parser.add_argument("--seed", type=int, default=1, help="which: equal seeds, equal choreographies (1)")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="how many processes")
    parser.add_argument("--only", type=int, metavar="SEED", help="try the choreography of a failure again")
    options = parser.parse_args(arguments)
    first = options.seed * 1_000_000_000
    seeds = range(first, first + options.programs) if options.only is None else range(options.only, options.only + 1)
    chunks = [seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK)]
    answers: Counter[str] = Counter()
    failures: list[str] = []
    start, shown, done = time.monotonic(), 0.0, 0
    with multiprocessing.get_context("spawn").Pool(min(options.jobs, len(chunks))) as pool:
        for found, wrong in pool.imap_unordered(try_chunk, chunks):
            answers += found
            failures += wrong
            for failure in wrong:
                print(f"\n{'=' * 100}\n{failure}", flush=True)
            done += CHUNK
            took = time.monotonic() - start
            if took - shown >= 30:
                shown = took
                print(f"{done} of {len(seeds)}, {len(failures)} failures, {done / took:.0f} a second", flush=True)
    for answer, count in sorted(answers.items()):
        print(f"  {count:8} {answer}")
    print(f"{len(seeds)} choreographies, {len(failures)} failures, {time.monotonic() - start:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
