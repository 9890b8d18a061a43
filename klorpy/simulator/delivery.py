"""All roles of a choreography out of order: walkers over a network that delivers in any order it likes.

A schedule chooses what happens next among what can happen: the messages that may be delivered, and, where local steps
are permuted as well, the steps that each role can take. Without that, each role takes its steps in the order of the
program until it can take no more, before anything is delivered.

    fifo        of the messages from one role to another, the first one sent may be delivered
    unordered   any message may
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from klorpy.core.choreography import Choreography, Definition, Site
from klorpy.core.events import Event, Exited, Failed
from klorpy.core.keys import Token
from klorpy.core.types import Role
from klorpy.core.values import ATOMS, NotCopyable, isolate, same_value
from klorpy.outoforder.deferred import Deferred, settled
from klorpy.outoforder.mailbox import Letter, Mailbox, Waiter
from klorpy.outoforder.rounds import Control
from klorpy.outoforder.walker import WINDOW, Step, Walker
from klorpy.runtime.agreement import AgreementViolated
from klorpy.runtime.copying import not_copyable
from klorpy.simulator.output import Capture
from klorpy.simulator.schedule import Schedule

LINKS: Final = ("fifo", "unordered")


class Delivery:
    """One run. `start` all roles, `run`, then look at the walkers."""

    def __init__(
        self, roles: tuple[Role, ...], pinned: Mapping[Choreography, Definition], schedule: Schedule, *,
        orders: Mapping[Role, str], links: str = "unordered", integrity: str = "both", permute_local: bool = False,
        window: int = WINDOW, trace: list[Any] | None = None, capture: Capture | None = None, audit: bool = False,
        patient: bool = False, inline: bool = True,
    ) -> None:  # fmt: skip
        self.schedule = schedule
        self.fifo = links == "fifo"
        self.permute_local = permute_local
        self.trace = trace
        self.capture = capture
        #: Messages that met a receive that was not theirs.
        self.violations: list[tuple[Letter, Waiter]] = []
        self.walkers: dict[Role, Walker] = {}
        for role in roles:
            self.walkers[role] = Walker(
                role, pinned, orders[role], self, window=window, inline=inline and not permute_local,
                mailbox=Mailbox(integrity, self._violated), audit=audit, patient=patient,
            )  # fmt: skip
        #: What is under way on each link, in the order of sending; links in the order of their first message.
        self.flying: dict[tuple[Role, Role], deque[Letter]] = {}
        self.in_flight = 0
        self.controls: deque[tuple[Role, Role, Control]] = deque()
        self.awaited: deque[tuple[Role, Any, Site, Deferred]] = deque()
        self.first_failure: Walker | None = None
        self._shown: dict[tuple[Site, Token], dict[Role, Any]] = {}
        self._ended: set[Role] = set()
        #: Told of each step and each delivery.
        self.watch: Callable[[Walker, Step], None] | None = None
        self.numbered = 0
        self._sent: dict[int, int] = {}

    # --- What walkers need ---

    def send(self, letter: Letter) -> None:
        value = letter.value
        if letter.error is None and type(value) not in ATOMS:
            try:
                value = isolate(value)
            except NotCopyable as error:
                raise not_copyable(error, letter.site) from None
            letter = Letter(letter.source, letter.target, letter.token, letter.site, value)
        self.flying.setdefault((letter.source, letter.target), deque()).append(letter)
        self.in_flight += 1
        self.numbered += 1
        self._sent[id(letter)] = self.numbered

    def tell(self, source: Role, target: Role, control: Control) -> None:
        self.controls.append((source, target, control))

    def wait(self, role: Role, awaitable: Any, site: Site, result: Deferred) -> None:
        self.awaited.append((role, awaitable, site, result))

    def check(self, role: Role, value: Any, cast: tuple[Role, ...], site: Site, token: Token) -> None:
        holders = site.actual_roles(cast)
        shown = self._shown.setdefault((site, token), {})
        shown[role] = value
        if len(shown) < len(holders):
            return
        del self._shown[site, token]
        values = [shown[holder] for holder in holders]
        if not all(same_value(values[0], other) for other in values[1:]):
            raise AgreementViolated(site, holders, values)

    def _violated(self, letter: Letter, waiter: Waiter) -> None:
        self.violations.append((letter, waiter))

    # --- Running ---

    def run(self) -> None:
        """Until nothing can happen any more, or the schedule pauses the run."""
        while self.move():
            pass

    def move(self) -> bool:
        """One choice. False when there is nothing to choose."""
        self.settle()
        if not (self.schedule.preemptive or self.permute_local):
            if not self.flying:
                return False
            # Nobody chooses: what was sent first is delivered first.
            self.deliver(min((link[0] for link in self.flying.values()), key=lambda letter: self._sent[id(letter)]))
            return True
        steps = self.steps() if self.permute_local else []
        letters = self.letters()
        count = len(steps) + len(letters)
        if not count:
            return False
        choice = self.schedule.choose(count) if count > 1 else 0
        if choice < 0:
            return False
        if choice < len(steps):
            self.perform(*steps[choice])
        else:
            self.deliver(letters[choice - len(steps)])
        return True

    def settle(self) -> None:
        """What is not a matter of choice: walking, windows, and, if they are not permuted, steps."""
        moved = True
        while moved:
            moved = False
            for walker in self.walkers.values():
                self._as(walker, walker.advance)
                while walker.ready and not self.permute_local:
                    moved = True
                    self.perform(walker, walker.take(), taken=True)
                self._look(walker)
            while self.controls:
                moved = True
                source, target, control = self.controls.popleft()
                walker = self.walkers[target]
                self._as(walker, lambda w=walker, s=source, c=control: w.hear(s, c))  # type: ignore[misc]

    def steps(self) -> list[tuple[Walker, Step]]:
        return [(walker, step) for walker in self.walkers.values() for _, step in sorted(walker.ready)]

    def letters(self) -> list[Letter]:
        """The messages that may be delivered, in the order of sending."""
        found = [letter for link in self.flying.values() for letter in ([link[0]] if self.fifo else link)]
        return sorted(found, key=lambda letter: self._sent[id(letter)])

    def perform(self, walker: Walker, step: Step, taken: bool = False) -> None:
        if not taken:
            walker.ready.remove((step.number, step))
            walker.ready.sort()
        if self.watch is not None:
            self.watch(walker, step)
        self._as(walker, lambda: walker.perform(step))
        self._look(walker)

    def deliver(self, letter: Letter) -> None:
        link = self.flying[letter.source, letter.target]
        if self.fifo:
            link.popleft()
        else:
            link.remove(letter)
        if not link:
            del self.flying[letter.source, letter.target]
        self.in_flight -= 1
        del self._sent[id(letter)]
        if self.trace is not None and letter.error is None:
            value = letter.value if type(letter.value) in ATOMS else isolate(letter.value)
            self.trace += (letter.source, 0, letter.target, value, letter.site)
        walker = self.walkers[letter.target]
        self._as(walker, lambda: walker.deliver(letter))
        self._look(walker)

    def _as(self, walker: Walker, call: Callable[[], None]) -> None:
        """Run what may print as the role."""
        if self.capture is None:
            call()
            return
        self.capture.current = walker.role
        try:
            call()
        finally:
            self.capture.current = None

    def _look(self, walker: Walker) -> None:
        """Whether the role has ended."""
        role = walker.role
        if role in self._ended:
            return
        if walker.error is not None:
            self._ended.add(role)
            if self.first_failure is None:
                self.first_failure = walker
            self._end(role, Failed(role, walker.error))
        elif walker.done and walker.result.done and walker.suffered is None:
            self._ended.add(role)
            self._end(role, Exited(role, settled(walker.result)))

    def _end(self, role: Role, event: Event) -> None:
        if self.capture is not None:
            self.capture.end_line(role)
        if self.trace is not None:
            self.trace.append(event)
