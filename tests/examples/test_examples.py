"""Every example against its reference: simulated, played over a transport, and under many schedules."""

from __future__ import annotations

import copy
import importlib
import subprocess
import sys
import types
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import anyio
import hy
import pytest

import klorpy
import klorpy.examples
from klorpy.core.values import same_value
from klorpy.examples.references import DATA, EXAMPLES, Example, data

FOLDER = Path(klorpy.examples.__file__).parent
FILES = sorted(FOLDER.glob("*.hy"))

#: The ideas that the examples are to show, and the choreographies that show them.
IDEAS = {
    "simple": {("simple", "simple")},
    "sharing knowledge": {("share", "share"), ("share", "ask-for-help")},
    "remote functions": {("remote", "remote-invoke"), ("remote", "remote-apply"), ("remote", "remote-map")},
    "swapped roles": {("ping_pong", "ping-pong")},
    "mutual recursion": {("mutual_recursion", "collatz")},
    "higher order": {("higher_order", "chained"), ("higher_order", "composed")},
    "bookseller, one buyer": {("bookseller", "buy-book")},
    "bookseller, two buyers": {("two_buyers", "buy-with-help"), ("two_buyers", "buy-alone")},
    "authentication and token": {("authentication", "log-in"), ("authentication", "get-token")},
    "Diffie-Hellman": {("diffie_hellman", "keys"), ("diffie_hellman", "agreed-key")},
    "secure channel": {("secure_channel", "tell-secrets")},
    "games": {
        ("guessing", "guess-number"),
        ("guessing", "guess-by-halves"),
        ("rock_paper_scissors", "rock-paper-scissors"),
        ("tic_tac_toe", "tic-tac-toe"),
        ("tic_tac_toe", "first-against-careful"),
    },
    "key-value store": {
        ("key_value_store", "key-value-store"),
        ("replicated_store", "replicated-store"),
        ("store_with_backups", "no-backup"),
        ("store_with_backups", "one-backup"),
        ("store_with_backups", "two-backups"),
    },
    "mergesort": {("mergesort", "mergesort")},
    "scatter and gather": {("scatter_gather", "sum-of-squares")},
}

#: Seconds after which a run is taken to be one that does not end. All take milliseconds.
TOO_LONG = 30

RUNS = [
    pytest.param(example, args, id=f"{example.module}:{example.choreography}-{number}")
    for example in EXAMPLES
    for number, args in enumerate(example.args)
]


def module_of(example: Example) -> types.ModuleType:
    return importlib.import_module(f"klorpy.examples.{example.module}")


def choreography_of(example: Example) -> klorpy.Choreography:
    found = getattr(module_of(example), hy.mangle(example.choreography))
    assert isinstance(found, klorpy.Choreography)
    return found


def channels(simulation: klorpy.Simulation) -> dict[tuple[str, str], list[Any]]:
    found = defaultdict(list)
    for message in simulation.messages:
        found[message.source, message.target].append(message.value)
    return dict(found)


# --- Each run ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("example", "args"), RUNS)
@pytest.mark.parametrize("seed", [0, 1, 20, 300])
def test_every_role_ends_with_what_the_reference_says(example: Example, args: tuple[Any, ...], seed: int) -> None:
    chor = choreography_of(example)
    expected = example.reference(*copy.deepcopy(args))
    simulation = klorpy.simulate_chor(chor, *copy.deepcopy(args), seed=seed, sanitize=True, timeout=TOO_LONG)
    assert expected.keys() == set(chor.roles)
    assert same_value(simulation.results, expected), simulation.results


class Recorded:
    """A transport that notes what it receives."""

    def __init__(self, transport: klorpy.Transport, role: str, messages: dict[tuple[str, str], list[Any]]) -> None:
        self.transport, self.role, self.messages = transport, role, messages

    async def send(self, target: str, value: Any, site: Any) -> None:
        await self.transport.send(target, value, site)

    async def receive(self, source: str, site: Any) -> Any:
        value = await self.transport.receive(source, site)
        self.messages.setdefault((source, self.role), []).append(copy.deepcopy(value))
        return value

    async def close(self) -> None:
        await self.transport.close()


def played(chor: klorpy.Choreography, args: tuple[Any, ...]) -> tuple[dict[str, Any], dict[tuple[str, str], list[Any]]]:
    """Play all roles over one network, each as its own task; results by role, and messages by channel."""
    results: dict[str, Any] = {}
    messages: dict[tuple[str, str], list[Any]] = {}

    async def play(network: klorpy.MemoryNetwork, role: str) -> None:
        params = chor.signature.arrow.params
        mine = [copy.deepcopy(arg) for arg, type_ in zip(args, params, strict=True) if role in type_.roles]
        transport = Recorded(network.endpoint(role), role, messages)
        try:
            results[role] = await klorpy.play_role({"role": role, "transport": transport}, chor, *mine)
        finally:
            await transport.close()

    async def everyone() -> None:
        network = klorpy.MemoryNetwork(chor.roles)
        with anyio.fail_after(TOO_LONG):
            async with anyio.create_task_group() as group:
                for role in chor.roles:
                    group.start_soon(play, network, role)

    anyio.run(everyone)
    return results, messages


@pytest.mark.parametrize(("example", "args"), RUNS)
def test_played_over_a_transport_it_does_what_it_does_when_simulated(example: Example, args: tuple[Any, ...]) -> None:
    chor = choreography_of(example)
    simulation = klorpy.simulate_chor(chor, *copy.deepcopy(args), sanitize=True, timeout=TOO_LONG)
    results, messages = played(chor, args)
    assert same_value(results, simulation.results)
    assert same_value(messages, channels(simulation))


@pytest.mark.parametrize(("example", "args"), RUNS)
def test_no_schedule_differs(example: Example, args: tuple[Any, ...]) -> None:
    found = klorpy.explore(choreography_of(example), *args, schedules=30, check=True, timeout=TOO_LONG)
    assert found, found.difference
    assert found.schedules == 30 or found.complete


# --- What single examples promise -------------------------------------------------------------------------------------


def test_the_buyer_keeps_the_budget_and_the_seller_the_catalogue() -> None:
    from klorpy.examples import bookseller

    order, catalogue = data("order"), data("catalogue")
    simulation = klorpy.simulate_chor(bookseller.buy_book, order, catalogue)
    assert simulation.channel("B", "S") == [order["title"], True, order["address"]]
    assert simulation.channel("S", "B") == [catalogue[order["title"]], simulation["B"]]
    assert simulation.outputs["B"] == f"The book arrives on {simulation['B']}\n"


def test_knowledge_that_is_shared_decides_without_a_message() -> None:
    from klorpy.examples import share

    assert len(klorpy.simulate_chor(share.share, 10, 4).messages) == 1
    assert len(klorpy.simulate_chor(share.share, 9, 4).messages) == 2


def test_a_pass_of_ping_pong_is_one_message_and_a_long_game_needs_no_stack() -> None:
    from klorpy.examples import ping_pong

    length = 2 * sys.getrecursionlimit()
    simulation = klorpy.simulate_chor(ping_pong.ping_pong, [], length, sanitize=False)
    assert len(simulation["A"]) == len(simulation.messages) == length
    assert {(m.source, m.target) for m in simulation.messages[::2]} == {("A", "B")}
    assert {(m.source, m.target) for m in simulation.messages[1::2]} == {("B", "A")}


def test_the_service_never_sees_a_password() -> None:
    from klorpy.examples import authentication

    simulation = klorpy.simulate_chor(authentication.get_token, [["ada", "no"], ["ada", "x"]], "key", {"ada": "x"})
    assert simulation.channel("A", "S") == ["ada"]
    assert simulation.channel("C", "S") == []
    assert simulation.channel("C", "A") == [["ada", "no"], True, ["ada", "x"]]


def test_secrets_and_keys_are_not_sent() -> None:
    from klorpy.examples import diffie_hellman, secure_channel

    args = (3, 2**521 - 1, 2**400 + 12345, 3**300 + 54321)
    agreed = klorpy.simulate_chor(diffie_hellman.agreed_key, *args)
    assert len(agreed.messages) == 2
    hidden = klorpy.simulate_chor(secure_channel.tell_secrets, *args, ["attack at dawn", "or at dusk"])
    sent = [message.value for message in hidden.messages]
    assert not {agreed["A"], *args[2:], b"attack at dawn", b"or at dusk"} & set(sent)
    assert [len(value) for value in sent if isinstance(value, bytes)] == [len("attack at dawn"), len("or at dusk")]


def test_a_player_who_shows_another_hand_than_the_sealed_one_is_found_out() -> None:
    from klorpy.examples import rock_paper_scissors as game

    seal = game.sealed(["rock", "ash"])
    game.check(seal, ["rock", "ash"])
    for other in (["paper", "ash"], ["rock", "oak"]):
        with pytest.raises(ValueError, match="sealed"):
            game.check(seal, other)
    simulation = klorpy.simulate_chor(game.show_hands, ["rock", "ash"], ["paper", "elm"])
    # Both seals are out before either hand is.
    assert [type(message.value) for message in simulation.messages] == [str, str, list, list]


def test_guessing_by_halves_needs_no_more_guesses_than_the_logarithm() -> None:
    from klorpy.examples import guessing

    needed = [klorpy.simulate_chor(guessing.guess_by_halves, n, 31)["Keeper"] for n in range(1, 32)]
    assert max(needed) == 5


def test_a_careful_player_of_tic_tac_toe_does_not_lose() -> None:
    from klorpy.examples import tic_tac_toe as game

    for other in (game.first_free, game.last_free, game.careful):
        assert klorpy.simulate_chor(game.tic_tac_toe, game.careful, other)["O"][0] in ("X", None)


def test_a_move_to_a_taken_square_ends_the_game_at_both_players() -> None:
    from klorpy.examples import tic_tac_toe as game

    simulation = klorpy.simulate_chor(game.tic_tac_toe, lambda board: 4, lambda board: 4, check=False)
    assert simulation.verdict is not None
    assert isinstance(simulation.verdict.__cause__, ValueError)
    assert "square 4 is taken" in str(simulation.verdict)


def test_backups_get_every_request_that_changes_the_store() -> None:
    from klorpy.examples import store_with_backups as store

    requests = [["put", "tea", 3], ["get", "tea"]]
    for chor, copies in ((store.no_backup, 0), (store.one_backup, 1), (store.two_backups, 2)):
        simulation = klorpy.simulate_chor(chor, requests)
        assert [simulation.channel("S", role) for role in "XY"] == [requests] * copies + [[]] * (2 - copies)


# --- The files --------------------------------------------------------------------------------------------------------


def test_there_is_an_example_of_every_idea() -> None:
    registered = {(example.module, example.choreography) for example in EXAMPLES}
    assert set.union(*IDEAS.values()) == registered


def test_every_file_is_in_the_registry_and_every_entry_has_a_file() -> None:
    assert {file.stem for file in FILES} == {example.module for example in EXAMPLES}
    assert all(len(example.args) > 1 for example in EXAMPLES if choreography_of(example).signature.arrow.params)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_loads_without_a_warning_and_without_a_word(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        namespace = klorpy.load(file)
    assert capfd.readouterr() == ("", "")
    assert any(isinstance(value, klorpy.Choreography) for value in vars(namespace).values())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_that_is_loaded_is_documented_as_one_that_is_imported(file: Path) -> None:
    imported = importlib.import_module(f"klorpy.examples.{file.stem}")
    assert imported.__doc__
    assert klorpy.load(file).__doc__ == imported.__doc__


def test_all_examples_can_be_imported_by_a_fresh_python_without_a_warning_and_without_a_word(tmp_path: Path) -> None:
    names = ", ".join(file.stem for file in FILES)
    program = f"import klorpy; from klorpy.examples import references, {names}"
    # No bytecode is read, so that every file is compiled.
    command = [sys.executable, "-W", "error", "-X", f"pycache_prefix={tmp_path}", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_has_a_docstring_and_reads_as_text_of_120_columns(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    first, second, *_ = hy.read_many(text)
    assert isinstance(first, hy.models.String)
    assert second == hy.read("(require klorpy *)")
    assert all(len(line) <= 120 and line == line.rstrip() and "\t" not in line for line in text.splitlines())


def test_the_data_files_are_what_the_bookseller_takes() -> None:
    order, catalogue = data("order"), data("catalogue")
    assert {file.stem for file in DATA.glob("*.json")} == {"catalogue", "order"}
    assert order.keys() == {"title", "budget", "address"}
    assert len(catalogue) > 3
    assert order["title"] in catalogue
    assert all(isinstance(title, str) and isinstance(price, int) for title, price in catalogue.items())
