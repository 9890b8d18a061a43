"""What the examples compute, said once more without roles: in one place, in plain Python.

Each `Example` names a choreography, gives it arguments, and has a function that makes from the same arguments what
every role must end with. The tests compare the two; a reader may too.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from klorpy import noop

Results: TypeAlias = dict[str, Any]

DATA: Final = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Example:
    """A choreography of `klorpy.examples.<module>` and what it computes.

    `choreography` is its name as Hy writes it; `args` has one tuple of arguments for each run; `reference(*args)` is
    what each role ends with, `noop` for a role that has no result.
    """

    module: str
    choreography: str
    args: tuple[tuple[Any, ...], ...]
    reference: Callable[..., Results]


def data(name: str) -> Any:
    """The contents of one of the data files beside the examples."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


# --- One value, two roles ---------------------------------------------------------------------------------------------


def simple(x: Any) -> Results:
    return {"A": x * 2, "B": noop}


def share(x: int, y: int) -> Results:
    value = x**2 if x >= 10 else x + y
    return {"A": value, "B": value}


def ask_for_help(x: int, y: int) -> Results:
    return {"A": x + y if x < 10 else x, "B": noop}


def remote_invoke(f: Callable[[Any], Any], x: Any) -> Results:
    return {"A": f(x), "B": noop}


def remote_apply(f: Callable[..., Any], args: list[Any]) -> Results:
    return {"A": f(*args), "B": noop}


def remote_map(f: Callable[[Any], Any], xs: list[Any]) -> Results:
    return {"A": list(map(f, xs)), "B": noop}


# --- Recursion and higher order ---------------------------------------------------------------------------------------


def ping_pong(ball: list[str], length: int) -> Results:
    strokes = ball + [("ping", "pong")[i % 2] for i in range(len(ball), length)]
    return {"A": strokes, "B": strokes}


def collatz(n: int) -> Results:
    steps = 0
    while n != 1:
        n = 3 * n + 1 if n % 2 else n // 2
        steps += 1
    return {"Even": steps, "Odd": steps}


def chained(x: int, y: int) -> Results:
    return {"A": noop, "B": noop, "C": 10 * x + y}


def composed(x: int) -> Results:
    return {"A": (10_000 * x,), "B": noop, "C": (100 * x,)}


# --- Buying a book ----------------------------------------------------------------------------------------------------


def delivery(address: str) -> str:
    """The bookshop's date of delivery."""
    return f"2030-01-{len(address) % 28 + 2:02d}"


def bought(order: dict[str, Any], catalogue: dict[str, int], funds: Callable[[int], int]) -> str | None:
    """The date of delivery, or None: no such book, or a price above what `funds` says there is for it."""
    price = catalogue.get(order["title"])
    return delivery(order["address"]) if price is not None and price <= funds(price) else None


def buy_book(order: dict[str, Any], catalogue: dict[str, int]) -> Results:
    return {"B": bought(order, catalogue, lambda price: order["budget"]), "S": noop}


def buy_with_help(order: dict[str, Any], catalogue: dict[str, int], savings: int) -> Results:
    date = bought(order, catalogue, lambda price: order["budget"] + min(savings, price // 2))
    return {"Ann": date, "Bob": noop, "Shop": noop}


def buy_alone(order: dict[str, Any], catalogue: dict[str, int]) -> Results:
    return {"Ann": bought(order, catalogue, lambda price: order["budget"]), "Bob": noop, "Shop": noop}


# --- Trust and secrets ------------------------------------------------------------------------------------------------


def account(attempts: list[list[str]], accounts: dict[str, str]) -> str | bool:
    """The name in the first attempt that is right, else False."""
    return next((name for name, password in attempts if accounts.get(name) == password), False)


def log_in(attempts: list[list[str]], accounts: dict[str, str]) -> Results:
    name = account(attempts, accounts)
    return {"C": name, "A": name}


def get_token(attempts: list[list[str]], secret: str, accounts: dict[str, str]) -> Results:
    name = account(attempts, accounts)
    token = hmac.digest(secret.encode(), name.encode(), "sha256").hex() if isinstance(name, str) else None
    return {"C": token, "S": noop, "A": noop}


def keys(g: int, p: int, a: int, b: int) -> Results:
    key = pow(g, a * b, p)
    return {"A": (key,), "B": (key,)}


def agreed_key(g: int, p: int, a: int, b: int) -> Results:
    key = pow(g, a * b, p)
    return {"A": key, "B": key}


def tell_secrets(g: int, p: int, a: int, b: int, texts: list[str]) -> Results:
    return {"A": noop, "B": texts}


# --- Games ------------------------------------------------------------------------------------------------------------


def guess_number(strategy: Callable[[int, int], int], secret: int, limit: int) -> Results:
    low, high, guesses = 1, limit, 1
    while (guess := strategy(low, high)) != secret:
        low, high = (low, guess - 1) if secret < guess else (guess + 1, high)
        guesses += 1
    return {"Guesser": guesses, "Keeper": guesses}


def guess_by_halves(secret: int, limit: int) -> Results:
    return guess_number(lambda low, high: (low + high) // 2, secret, limit)


def rock_paper_scissors(a_hands: list[list[str]], b_hands: list[list[str]], rounds: int) -> Results:
    moves = ("rock", "paper", "scissors")  # each is beaten by the next
    lead = [(moves.index(a[0]) - moves.index(b[0])) % 3 for a, b in zip(a_hands, b_hands, strict=False)][:rounds]
    score = [lead.count(1), lead.count(2)]
    return {"A": score, "B": score}


#: The numbers of a magic square: three squares are in line when they add up to fifteen.
MAGIC: Final = (2, 7, 6, 9, 5, 1, 4, 3, 8)


def first_free(board: str) -> int:
    return board.index(".")


def last_free(board: str) -> int:
    return board.rindex(".")


def from_centre(board: str) -> int:
    return next(square for square in (4, 0, 2, 6, 8, 1, 3, 5, 7) if board[square] == ".")


def blocking(board: str) -> int:
    """A square that wins, or else one on which the other would win, or else the first that is free."""
    me, you = ("X", "O") if board.count(".") % 2 else ("O", "X")

    def wins(mark: str, square: int) -> bool:
        mine = [MAGIC[i] for i, other in enumerate(board) if other == mark]
        return any(a < b and a + b + MAGIC[square] == 15 for a in mine for b in mine)

    free = [square for square in range(9) if board[square] == "."]
    return next((square for mark in (me, you) for square in free if wins(mark, square)), free[0])


def tic_tac_toe(x_plays: Callable[[str], int], o_plays: Callable[[str], int]) -> Results:
    squares = ["."] * 9
    outcome: str | None = None
    for turn in range(9):
        mark, strategy = ("X", x_plays) if turn % 2 == 0 else ("O", o_plays)
        squares[strategy("".join(squares))] = mark
        mine = [number for number, square in zip(MAGIC, squares, strict=True) if square == mark]
        if any(a < b < c and a + b + c == 15 for a in mine for b in mine for c in mine):
            outcome = mark
            break
    result = [outcome, "".join(squares)]
    return {"X": result, "O": result}


def first_against_careful() -> Results:
    return tic_tac_toe(first_free, blocking)


# --- Stores -----------------------------------------------------------------------------------------------------------


def stored(requests: list[list[Any]]) -> tuple[list[Any], dict[Any, Any]]:
    """The answers to requests, and the store after them."""
    store: dict[Any, Any] = {}
    answers = []
    for word, key, *value in requests:
        answers.append(store.get(key))
        if word == "put":
            store[key] = value[0]
    return answers, store


def key_value_store(requests: list[list[Any]]) -> Results:
    answers, store = stored(requests)
    return {"Client": (answers,), "Server": (store,)}


def replicated_store(requests: list[list[Any]]) -> Results:
    answers, store = stored(requests)
    return {"Client": (answers,), "Primary": (store,), "Backup": (store,)}


def with_backups(*backups: str) -> Callable[[list[list[Any]]], Results]:
    """The reference for a store with these backups; the others of X and Y have no result."""

    def reference(requests: list[list[Any]]) -> Results:
        answers, store = stored(requests)
        return {"C": (answers,), "X": noop, "Y": noop, **dict.fromkeys(("S", *backups), (store,))}

    return reference


# --- Dividing work ----------------------------------------------------------------------------------------------------


def mergesort(xs: list[Any]) -> Results:
    return {"A": sorted(xs), "B": noop, "C": noop}


def sum_of_squares(xs: list[int]) -> Results:
    return {"Boss": sum(x * x for x in xs), "P": noop, "Q": noop, "R": noop}


# --- The registry -----------------------------------------------------------------------------------------------------

_ORDER: Final = data("order")
_CATALOGUE: Final = data("catalogue")
_DEAR: Final = {**_ORDER, "title": "The Atlas of Lost Messages"}
_UNKNOWN: Final = {**_ORDER, "title": "A Book That Nobody Wrote"}
_EXACT: Final = {"title": "The Patient Receiver", "budget": 40, "address": ""}

_ACCOUNTS: Final = {"ada": "engine", "grace": "compiler"}
_AT_ONCE: Final = [["ada", "engine"], ["ada", "never tried"]]
_AT_LAST: Final = [["ada", "compiler"], ["nobody", "engine"], ["grace", "compiler"]]
_NEVER: Final = [["ada", "Engine"], ["nobody", ""]]

#: A prime that is large enough to be no toy's, and secrets below it.
_LARGE: Final = (3, 2**521 - 1, 2**400 + 12345, 3**300 + 54321)

_REQUESTS: Final[tuple[tuple[Any, ...], ...]] = (
    ([],),
    ([["put", "tea", 3]],),
    ([["get", "tea"], ["put", "tea", 3], ["put", "milk", [1, 2]], ["put", "tea", 4], ["get", "tea"], ["get", "milk"]],),
)

_HANDS: Final = [["rock", "ash"], ["paper", "birch"], ["scissors", "cedar"], ["rock", "date"], ["paper", "elm"]]
_OTHER_HANDS: Final = [["paper", "iron"], ["scissors", "lead"], ["rock", "tin"], ["rock", "zinc"], ["rock", "gold"]]

EXAMPLES: Final = (
    Example("simple", "simple", ((21,), (-0.5,), ("ha",)), simple),
    Example("share", "share", ((3, 4), (9, -9), (10, 4), (12, 0)), share),
    Example("share", "ask-for-help", ((3, 4), (9, -9), (10, 4)), ask_for_help),
    Example("remote", "remote-invoke", ((abs, -3), (str.upper, "quiet"), (len, [])), remote_invoke),
    Example("remote", "remote-apply", ((max, [3, 1, 2]), (divmod, [17, 5]), (dict, [])), remote_apply),
    Example("remote", "remote-map", ((abs, []), (abs, [-1]), (hex, [1, 20, 300]), (len, ["", [1, 2]])), remote_map),
    Example("ping_pong", "ping-pong", (([], 1), ([], 2), ([], 7), (["ping", "pong"], 5)), ping_pong),
    Example("mutual_recursion", "collatz", ((1,), (2,), (6,), (27,)), collatz),
    Example("higher_order", "chained", ((4, 1), (0, -1)), chained),
    Example("higher_order", "composed", ((4,), (-1,)), composed),
    Example(
        "bookseller",
        "buy-book",
        ((_ORDER, _CATALOGUE), (_DEAR, _CATALOGUE), (_UNKNOWN, _CATALOGUE), (_EXACT, _CATALOGUE), (_ORDER, {})),
        buy_book,
    ),
    Example(
        "two_buyers",
        "buy-with-help",
        (
            (_ORDER, _CATALOGUE, 0),
            (_DEAR, _CATALOGUE, 31),
            (_DEAR, _CATALOGUE, 32),
            (_DEAR, {_DEAR["title"]: 82}, 1000),
            (_UNKNOWN, _CATALOGUE, 1000),
        ),
        buy_with_help,
    ),
    Example("two_buyers", "buy-alone", ((_ORDER, _CATALOGUE), (_DEAR, _CATALOGUE), (_UNKNOWN, _CATALOGUE)), buy_alone),
    Example("authentication", "log-in", ((_AT_ONCE, _ACCOUNTS), (_AT_LAST, _ACCOUNTS), (_NEVER, _ACCOUNTS)), log_in),
    Example(
        "authentication",
        "get-token",
        ((_AT_ONCE, "s3", _ACCOUNTS), (_AT_LAST, "s3", _ACCOUNTS), (_NEVER, "s3", _ACCOUNTS), (_AT_LAST, "", {})),
        get_token,
    ),
    Example("diffie_hellman", "keys", ((5, 23, 6, 15), _LARGE), keys),
    Example("diffie_hellman", "agreed-key", ((5, 23, 6, 15), _LARGE), agreed_key),
    Example(
        "secure_channel",
        "tell-secrets",
        ((5, 23, 6, 15, ["hello", "again"]), (*_LARGE, ["", "pâté " * 40])),
        tell_secrets,
    ),
    Example(
        "guessing",
        "guess-number",
        (
            (lambda low, high: (low + high) // 2, 1, 1),
            (lambda low, high: (low + high) // 2, 37, 100),
            (lambda low, high: low, 5, 9),
            (lambda low, high: high, 5, 9),
        ),
        guess_number,
    ),
    Example("guessing", "guess-by-halves", ((1, 1), (37, 100), (100, 100)), guess_by_halves),
    Example(
        "rock_paper_scissors",
        "rock-paper-scissors",
        ((_HANDS, _OTHER_HANDS, 0), (_HANDS, _OTHER_HANDS, 5), (_OTHER_HANDS, _HANDS, 4), (_HANDS, _HANDS, 3)),
        rock_paper_scissors,
    ),
    Example("key_value_store", "key-value-store", _REQUESTS, key_value_store),
    Example("replicated_store", "replicated-store", _REQUESTS, replicated_store),
    Example("store_with_backups", "no-backup", _REQUESTS, with_backups()),
    Example("store_with_backups", "one-backup", _REQUESTS, with_backups("X")),
    Example("store_with_backups", "two-backups", _REQUESTS, with_backups("X", "Y")),
    Example(
        "mergesort",
        "mergesort",
        (([],), ([1],), ([2, 1],), ([5, 3, 9, 1, 5, 2, 8],), (["pear", "fig", "apple", "date"],)),
        mergesort,
    ),
    Example(
        "tic_tac_toe",
        "tic-tac-toe",
        ((first_free, first_free), (first_free, last_free), (from_centre, from_centre), (last_free, from_centre)),
        tic_tac_toe,
    ),
    Example("tic_tac_toe", "first-against-careful", ((),), first_against_careful),
    Example("scatter_gather", "sum-of-squares", (([],), ([3],), ([1, 2, 3, 4, 5, 6, 7],)), sum_of_squares),
)
