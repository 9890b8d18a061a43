"""Tokens and keys: exact, short, and the same in every interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klorpy.core.keys import LONGEST, START, Token, child, key, parts, runs, show_key, show_token

paths = st.lists(st.integers(0, 300), max_size=40)


def token(path: list[int]) -> Token:
    """The token of a path, the outermost call first."""
    found = START
    for site in path:
        found = child(found, site)
    return found


def stretches(path: list[int]) -> tuple[tuple[int, int], ...]:
    out: list[tuple[int, int]] = []
    for site in path:
        if out and out[-1][0] == site:
            out[-1] = (site, out[-1][1] + 1)
        else:
            out.append((site, 1))
    return tuple(reversed(out))


@given(paths)
def test_runs_are_the_path_as_long_as_they_are_short(path: list[int]) -> None:
    found = runs(token(path))
    assert found is None or found == stretches(path)


@given(paths, paths)
def test_two_paths_have_two_tokens(one: list[int], other: list[int]) -> None:
    assert (token(one) == token(other)) == (one == other)


@given(paths, st.integers(0, 1 << 45))
def test_keys_are_short_and_can_be_taken_apart(path: list[int], site: int) -> None:
    found = key(token(path), site)
    assert parts(found) == (token(path), site)
    assert len(found) <= 40


def test_a_loop_of_a_million_rounds_has_a_token_of_a_few_bytes() -> None:
    found = child(START, 7)
    for _ in range(1_000_000):
        found = child(found, 5)
    assert runs(found) == ((5, 1_000_000), (7, 1))
    assert len(found) <= 6
    assert show_key(key(found, 2)) == "2 in 5×1000000 in 7"


def test_a_deep_path_changes_to_a_digest_and_stays_there() -> None:
    found, path = START, []
    while runs(found) is not None:
        assert len(found) <= LONGEST
        path.append(len(path) % 2)
        found = child(found, path[-1])
    assert len(path) == LONGEST // 2 + 1
    assert len(found) == 17
    assert found == token(path)
    deeper = child(found, 0)
    assert runs(deeper) is None
    assert deeper != found
    assert show_token(deeper).startswith("#")


def test_digests_of_one_parent_and_of_two_sites_differ() -> None:
    deep = token([0, 1] * 40)
    found = {child(deep, site) for site in range(4096)}
    assert len(found) == 4096


def test_tokens_do_not_depend_on_the_hash_seed() -> None:
    program = "from klorpy.core.keys import *\nt = START\nfor i in range(99): t = child(t, i % 7)\nprint(key(t, 3).hex())"
    seen = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }  # fmt: skip
    assert len(seen) == 1


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x01\x02", b"\x01\x00abc"])
def test_bytes_that_are_no_key_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"number|token"):
        parts(data)
