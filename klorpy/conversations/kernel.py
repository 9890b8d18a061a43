"""The kernel: processes, endpoints, presence and messages, as a machine without clock, threads or I/O.

    (state, actions from outside) → (state, log)

A *round* visits the processes that exist at its start in ascending pid. A visit takes all queued actions of the process
and performs them in order. Handlers run at once, inside the action that causes the event, with the state as it is; the
actions that they return go to the end of the queue of their own process. After the round, processes that can never act
again are collected. So the order of everything follows from the actions alone, and equal scripts give equal logs.

What holds (and is tested under these names):

    bracket      for each endpoint and peer, presence and absence alternate, presence first
    fifo         what one process causes reaches another one in the order of its actions
    tombstone    a process hears nothing after it failed or ended
    spikes       what comes and goes within one batch is seen as presence and absence
    determinism  the same start and the same script give the same log; a copy goes on as the original does

A handler that raises fails its process alone: the change of state and the actions of that handler are dropped, earlier
actions are still performed, and then the process quits with the exception as the reason that its peers learn.

Source: T. Garnock-Jones, os2 (talk, 2012) and its descendant Marketplace. Ours: an order that is fixed, tokens for
peers, tombstones (from Syndicate), `Replace`, `Query`, and processes that are born with endpoints.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, assert_never

from klorpy.conversations.actions import (
    PUB,
    SUB,
    Absence,
    Add,
    Answer,
    Delete,
    Descriptor,
    Endpoint,
    Feedback,
    Handler,
    Interest,
    Kill,
    Message,
    Meta,
    MetaName,
    Orientation,
    Peer,
    Pid,
    Presence,
    Query,
    Queued,
    Quit,
    Replace,
    Resume,
    Role,
    Send,
    Spawn,
    Transition,
    Turn,
    Yield,
    demanded,
    flatten,
    visible,
)
from klorpy.conversations.log import Answered, Delivered, Exited, Record, inside
from klorpy.conversations.meta import CallRelay, outward, waits
from klorpy.conversations.pattern import NOTHING, Topic, intersect, same_topic
from klorpy.conversations.routing import Table
from klorpy.conversations.table import (
    Installed,
    Process,
    check_contract,
    check_state,
    common_topic,
    handler_of,
    in_order,
    name_key,
)
from klorpy.core.diagnostics import KlorError
from klorpy.core.values import show

PARTICIPANT = Interest.PARTICIPANT
#: The reason of a process that is collected.
COLLECTED = "gc"
#: The reason of a process that acts at the meta level where there is none.
NO_META_LEVEL = ("no-meta-level",)
_OPPOSITE = {PUB: SUB, SUB: PUB}


class Kernel:
    """A kernel, which is stepped in place: `copy` it first to keep what it was.

    `messages(body)` is a contract: when it is false or raises for a message, the process that sends it is ended. With
    `logging`, what happens is kept for `take_log`. A `hosted` kernel is that of a nested VM.

    >>> from klorpy.conversations import ANY, Add, Endpoint, Send, subscriber
    >>> kernel = Kernel(logging=True)
    >>> ann = kernel.start("ann", [Add(Endpoint("in", subscriber(("chat", ANY))))])
    >>> bob = kernel.start("bob", [Send(("chat", "hello"))])
    >>> kernel.run()
    True
    >>> print(*kernel.take_log(), sep="\\n")
    ann/in ! #("chat" "hello")
    bob exit "gc"
    """

    def __init__(
        self, *, logging: bool = False, hosted: bool = False, messages: Callable[[Any], Any] | None = None
    ) -> None:
        self.hosted = hosted
        self.messages = messages
        self.log: list[Record] | None = [] if logging else None
        self.processes: dict[int, Process] = {}
        #: What endpoints demand from the ground, with how many demand it, in the order in which it was first demanded.
        self.demands: dict[Descriptor, int] = {}
        #: A process that nobody can kill.
        self.permanent: Pid | None = None
        #: Called with each process that ends, and its reason. Whoever steps the kernel sets it; a copy has none.
        self.on_exit: Callable[[Pid, Any], None] | None = None
        #: The living processes of a name, the youngest last.
        self._names: dict[str, dict[int, None]] = {}
        self._tables: dict[Orientation, Table[Installed]] = {PUB: Table(), SUB: Table()}
        self._next_pid = 0
        self._serial = 0
        #: Processes with queued actions; those that may have to be collected after the round.
        self._ready: set[int] = set()
        self._touched: set[int] = set()
        # The round under way: its process, the pids that it visits still, and the first pid that it does not.
        self._current = -1
        self._todo: list[int] = []
        self._limit = 0
        #: Actions at the meta level, until the VM takes them.
        self._outward: list[Queued] = []

    # --- From outside -------------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether no process has anything to do."""
        return not (self._ready or self._todo)

    def start(self, name: str = "", actions: Any = (), state: Any = None) -> Pid:
        """A new process with actions in its queue."""
        process = self._new(name)
        process.state = state
        self._enqueue(process, flatten(actions))
        return process.pid

    def enqueue(self, process: Pid | str, actions: Any) -> bool:
        """Append actions to a process's queue; False when there is no such process."""
        found = self._find(process)
        if found is not None:
            self._enqueue(found, flatten(actions))
        return found is not None

    def find(self, name: str) -> Pid | None:
        """The youngest living process of a name."""
        found = self._find(name)
        return None if found is None else found.pid

    def state_of(self, process: Pid | str) -> Any:
        """The private state of a process, for instruments; None when there is no such process."""
        found = self._find(process)
        return None if found is None else found.state

    def run(self, rounds: int | None = None) -> bool:
        """Take rounds until the kernel is idle, at most `rounds`; whether it is idle."""
        while self._ready or self._todo:
            if rounds is not None:
                if rounds <= 0:
                    return False
                rounds -= 1
            self.round()
        return True

    def round(self) -> None:
        """Visit every process that exists now once, then collect those that have nothing left to do."""
        self._limit = self._next_pid
        # A sorted list is a heap. (The set is exchanged, not emptied: one that was large stays slow to go through.)
        # Something is left to do from the last round only if that was interrupted.
        self._todo = sorted(self._ready.union(self._todo))
        self._ready = set()
        while self._todo:
            self._current = heappop(self._todo)
            process = self.processes.get(self._current)
            if process is not None and process.queue:
                self._visit(process)
        self._current = -1
        touched, self._touched = self._touched, set()
        for number in sorted(touched):
            process = self.processes.get(number)
            if process is not None and process.idle():
                self._leave(process, COLLECTED)

    def take_log(self) -> list[Record]:
        """What happened since this was last asked; nothing without `logging`."""
        if not self.log:
            return []
        taken, self.log = self.log, []
        return taken

    def query(self, orientation: Orientation, topic: Topic) -> tuple[tuple[Peer, Topic], ...]:
        """The participants that meet a topic now, each with the topic in common."""
        return self._found(orientation, topic, None)

    def heard(self, body: Any) -> bool:
        """Whether anybody subscribes to a message."""
        return bool(self._tables[SUB].containing(body))

    def counterparts(self, entry: Installed) -> list[Installed]:
        """The endpoints that an endpoint meets, for instruments."""
        return self._meeting(_OPPOSITE[entry.role.orientation], entry.topic, entry.process)

    def copy(self) -> Kernel:
        """An independent kernel that goes on as this one does. Handlers and actions are shared, states are copied."""
        return copy.deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Kernel:
        other = Kernel(logging=self.log is not None, hosted=self.hosted, messages=self.messages)
        memo[id(self)] = other
        if self.log is not None:
            other.log = list(self.log)
        for number, process in self.processes.items():
            twin = Process(process.pid, copy.deepcopy(process.state, memo))
            twin.metas, twin.queue = dict(process.metas), list(process.queue)
            twin.awaiting, twin.doomed, twin.invariant = process.awaiting, process.doomed, process.invariant
            for name, entry in process.endpoints.items():
                made = twin.endpoints[name] = Installed(twin, entry.endpoint, entry.serial)
                other._tables[made.role.orientation].add(made)
            other.processes[number] = twin
        other.permanent, other.demands = self.permanent, dict(self.demands)
        other._names = {name: dict(numbers) for name, numbers in self._names.items()}
        other._next_pid, other._serial = self._next_pid, self._serial
        other._ready, other._touched = self._ready.union(self._todo), set(self._touched)
        other._outward = list(self._outward)
        return other

    # --- A nested VM, called by its host ------------------------------------------------------------------------------

    def turn(self) -> list[Queued]:
        """One round of a nested VM, and the actions of the VM outside that come of it."""
        self.round()
        actions, self._outward = self._outward, []
        return actions if self.idle else [Turn(), *actions]

    def relayed(self, pid: Pid, name: Any, event: Presence | Absence | Message) -> list[Queued]:
        """An event outside, at the endpoint `name` that a process inside has there."""
        process = self.processes.get(pid.number)
        endpoint = process and process.metas.get(name_key(name))
        if not process or not endpoint:
            return []
        if not process.doomed:
            if self.log is not None:
                self.log.append(Delivered((pid,), name, event, meta=True, level=None))
            handler = handler_of(endpoint, event)
            if handler is not None:
                self._call(process, handler, event)
        self._touched.add(pid.number)
        return self.turn()

    def resumed(self, pid: Pid, then: Handler | None, value: Any) -> list[Queued]:
        """The outcome of an action outside for which a process inside waits."""
        process = self.processes.get(pid.number)
        if process is None:
            return []
        process.awaiting -= 1
        if not process.doomed:
            if self.log is not None and isinstance(value, Answer):
                self.log.append(Answered((pid,), value, level=None))
            if then is not None:
                self._call(process, then, value)
        self._touched.add(pid.number)
        return self.turn()

    # --- Processes ----------------------------------------------------------------------------------------------------

    def _new(self, name: str) -> Process:
        pid = Pid(self._next_pid, name)
        self._next_pid += 1
        process = self.processes[pid.number] = Process(pid)
        if name:
            self._names.setdefault(name, {})[pid.number] = None
        self._touched.add(pid.number)
        return process

    def _find(self, process: Pid | str) -> Process | None:
        if not isinstance(process, str):
            return self.processes.get(process.number)
        numbers = self._names.get(process)
        return self.processes[next(reversed(numbers))] if numbers else None

    def _enqueue(self, process: Process, actions: list[Queued]) -> None:
        if not actions:
            return
        if not process.queue:
            number = process.pid.number
            if self._current >= 0 and self._current < number < self._limit:
                heappush(self._todo, number)
            else:
                self._ready.add(number)
        process.queue.extend(actions)

    def _visit(self, process: Process) -> None:
        batch, process.queue = process.queue, []
        number = process.pid.number
        self._touched.add(number)
        for action in batch:
            self._perform(process, action)
            if number not in self.processes:
                return

    def _perform(self, process: Process, action: Queued) -> None:
        # The commonest first: a case costs what the ones before it do.
        match action:
            case Send(body):
                self._message(process, PUB, body)
            case Feedback(body):
                self._message(process, SUB, body)
            case Add(endpoint):
                self._add(process, endpoint)
            case Spawn():
                self._spawn(process, action)
            case Delete(name, reason):
                entry = process.endpoints.get(name_key(name))
                if entry is not None:
                    self._withdraw(entry, reason)
            case Quit(reason):
                self._leave(process, reason)
            case Turn():
                self._turn(process)
            case Replace(name, topic):
                self._replace(process, name, topic)
            case Meta(inner):
                self._meta(process, inner)
            case Yield(then):
                self._enqueue(process, [Resume(then)])
            case Resume(then):
                self._resume(process, then)
            case Kill(other, reason):
                victim = self._find(other)
                if victim is not None and victim.pid == self.permanent:
                    text = f"{process.pid} cannot kill {victim.pid}, which this kernel needs"
                    self._fail(process, KlorError(text, slug="bad-action", help="kill the processes that you started"))
                elif victim is not None:
                    self._leave(victim, reason)
            case Query(orientation, topic, then):
                self._answer(process, orientation, topic, then)
            case _:
                assert_never(action)

    def _spawn(self, parent: Process, action: Spawn) -> None:
        child = self._new(action.name)
        try:
            self._settle(child, action.boot(), at_once=False)
            if action.invariant is not None:
                child.invariant = action.invariant
                check_state(child, child.state)
        except Exception as error:
            # The child is there only to end, so that its end is logged like any other.
            child.state = None
            child.queue = []
            self._fail(child, error)
            then: Handler | None = action.failed or action.then
            value: Any = error if action.failed is not None else child.pid
        else:
            if isinstance(child.state, Kernel) and child.state.hosted:
                child.state.log = None if self.log is None else (child.state.log or [])
            for endpoint in action.endpoints:
                self._add(child, endpoint)
            then, value = action.then, child.pid
        if then is not None:
            self._call(parent, then, value)

    def _leave(self, process: Process, reason: Any) -> None:
        """End a process: its peers are told, it is not."""
        process.doomed = True
        for entry in list(process.endpoints.values()):
            self._withdraw(entry, reason)
        for endpoint in process.metas.values():
            self._outward.append(Delete(MetaName(process.pid, endpoint.name), reason))
        number = process.pid.number
        del self.processes[number]
        self._ready.discard(number)
        namesakes = self._names.get(process.pid.name)
        if namesakes is not None:
            del namesakes[number]
            if not namesakes:
                del self._names[process.pid.name]
        if self.log is not None:
            self.log.append(Exited((process.pid,), reason))
        if self.on_exit is not None:
            self.on_exit(process.pid, reason)

    def _fail(self, process: Process, reason: Any) -> None:
        """From now on the process hears nothing; it quits when what it had queued before is done."""
        if not process.doomed:
            process.doomed = True
            self._enqueue(process, [Quit(reason)])

    # --- Handlers -----------------------------------------------------------------------------------------------------

    def _note(self, entry: Installed, event: Presence | Absence | Message) -> None:
        """Log that an endpoint is told of an event. What a VM is told outside is logged where it happens, inside."""
        assert self.log is not None
        if not entry.process.doomed and type(entry.endpoint.name) is not MetaName:
            self.log.append(Delivered((entry.process.pid,), entry.endpoint.name, event))

    def _call(self, process: Process, handler: Handler, value: Any) -> None:
        """Run a handler; its actions are queued."""
        if process.doomed:
            return
        try:
            answer = handler(value, process.state)
            if type(answer) is Transition and not answer.actions and process.invariant is None:
                process.state = answer.state
            elif answer is not None:
                self._settle(process, answer, at_once=False)
        except Exception as error:
            # Whatever a handler raises ends its process, and nothing else.
            self._fail(process, error)
        if self.log is not None:
            self._drain(process)

    def _resume(self, process: Process, then: Callable[[Any], Any]) -> None:
        # A continuation was queued before the process failed, if it did, so it is still run; its actions come first.
        try:
            actions = self._settle(process, then(process.state), at_once=True)
        except Exception as error:
            self._fail(process, error)
            actions = []
        self._drain(process)
        for action in actions:
            self._perform(process, action)
            if process.pid.number not in self.processes:
                return

    def _turn(self, process: Process) -> None:
        self._enqueue(process, process.state.turn())
        self._drain(process)

    def _drain(self, host: Process) -> None:
        """Take over what a nested VM has logged."""
        if self.log is not None and isinstance(host.state, Kernel) and host.state.log:
            self.log.extend(inside(record, host.pid) for record in host.state.take_log())

    def _settle(self, process: Process, answer: Any, at_once: bool) -> list[Queued]:
        """Take a handler's answer: the state is set when all of it is right, then the actions are queued, or given."""
        if answer is None:
            return []
        if type(answer) is Transition:
            actions = flatten(answer.actions) if answer.actions else []
            if process.invariant is not None:
                check_state(process, answer.state)
            process.state = answer.state
        else:
            actions = flatten(answer)
            if process.invariant is not None:
                check_state(process, process.state)
        if at_once:
            return actions
        if actions:
            self._enqueue(process, actions)
        return []

    # --- Endpoints ----------------------------------------------------------------------------------------------------

    def _add(self, process: Process, endpoint: Endpoint) -> None:
        key = name_key(endpoint.name)
        known = process.endpoints.get(key)
        if known is not None:
            if known.role == endpoint.role:
                known.endpoint = endpoint
            else:
                self._fail(process, ("role-mismatch", endpoint.name))
            return
        entry = Installed(process, endpoint, self._serial)
        self._serial += 1
        process.endpoints[key] = entry
        self._route(entry)
        for other in self._meeting(_OPPOSITE[entry.role.orientation], entry.topic, process):
            self._tell(entry, other, common_topic(entry, other))

    def _withdraw(self, entry: Installed, reason: Any) -> None:
        process = entry.process
        del process.endpoints[name_key(entry.endpoint.name)]
        self._unroute(entry)
        for other in self._meeting(_OPPOSITE[entry.role.orientation], entry.topic, process):
            self._tell(entry, other, common_topic(entry, other), reason, gone=True)

    def _replace(self, process: Process, name: Any, topic: Topic) -> None:
        entry = process.endpoints.get(name_key(name))
        if entry is None or same_topic(entry.topic, topic):
            return
        opposite = _OPPOSITE[entry.role.orientation]
        before = entry.topic
        self._unroute(entry)
        entry.move(topic)
        self._route(entry)
        for other in self._meeting(opposite, topic, process):
            common = intersect(topic, other.topic)
            if not same_topic(common, intersect(before, other.topic)):
                self._tell(entry, other, common)
        for other in self._meeting(opposite, before, process):
            common = intersect(before, other.topic)
            if not same_topic(common, intersect(topic, other.topic)):
                self._tell(entry, other, common, "replaced", gone=True)

    def _tell(self, entry: Installed, other: Installed, common: Topic, reason: Any = None, gone: bool = False) -> None:
        """Tell two endpoints that one of them has come or gone: first the other one, then the one itself."""
        local, remote = other, entry
        while True:
            handler = local.endpoint.on_absence if gone else local.endpoint.on_presence
            if (handler is not None or self.log is not None) and (
                remote.interest is PARTICIPANT or visible(remote.interest, local.interest)
            ):
                presence = remote.presence(common)
                event = Absence(presence.role, reason, presence.peer) if gone else presence
                if self.log is not None:
                    self._note(local, event)
                if handler is not None:
                    self._call(local.process, handler, event)
            if local is entry:
                return
            local, remote = entry, other

    def _route(self, entry: Installed) -> None:
        self._tables[entry.role.orientation].add(entry)
        descriptor = demanded(entry.role) if type(entry.topic) is tuple and len(entry.topic) == 2 else None
        if descriptor is not None:
            self.demands[descriptor] = self.demands.get(descriptor, 0) + 1

    def _unroute(self, entry: Installed) -> None:
        self._tables[entry.role.orientation].remove(entry)
        descriptor = demanded(entry.role) if type(entry.topic) is tuple and len(entry.topic) == 2 else None
        if descriptor is not None:
            self.demands[descriptor] -= 1
            if not self.demands[descriptor]:
                del self.demands[descriptor]

    def _meeting(self, orientation: Orientation, topic: Topic, process: Process | None) -> list[Installed]:
        return in_order(self._tables[orientation].meeting(topic), process)

    def _found(self, orientation: Orientation, topic: Topic, process: Process | None) -> tuple[tuple[Peer, Topic], ...]:
        return tuple(
            (entry.peer, common)
            for entry in self._meeting(orientation, topic, process)
            if entry.interest is Interest.PARTICIPANT and (common := intersect(topic, entry.topic)) is not NOTHING
        )

    # --- Messages, queries, the meta level ----------------------------------------------------------------------------

    def _message(self, process: Process, orientation: Orientation, body: Any) -> None:
        if self.messages is not None:
            try:
                check_contract(self.messages, body, "message-contract", f"{process.pid} sends {show(body, 80)}")
            except Exception as error:
                self._fail(process, error)
                return
        event = None
        logging = self.log is not None
        for entry in in_order(self._tables[_OPPOSITE[orientation]].containing(body), process):
            handler = entry.endpoint.on_message
            if logging or handler is not None:
                event = event or Message(orientation, body)
                if logging:
                    self._note(entry, event)
                if handler is not None:
                    self._call(entry.process, handler, event)

    def _answer(self, process: Process, orientation: Orientation, topic: Topic, then: Handler | None) -> None:
        if process.doomed:
            return
        answer = Answer(orientation, topic, self._found(orientation, topic, process))
        # What a VM asks for a process inside is logged there.
        if self.log is not None and type(then) is not CallRelay:
            self.log.append(Answered((process.pid,), answer))
        if then is not None:
            self._call(process, then, answer)

    def _meta(self, process: Process, action: Any) -> None:
        if not self.hosted:
            self._fail(process, NO_META_LEVEL)
            return
        match action:
            case Add(endpoint):
                key = name_key(endpoint.name)
                known = process.metas.get(key)
                if known is not None and known.role != endpoint.role:
                    self._fail(process, ("role-mismatch", endpoint.name))
                    return
                process.metas = {**process.metas, key: endpoint}
                if known is not None:
                    return
            case Delete(name):
                if process.metas.pop(name_key(name), None) is None:
                    return
            case Replace(name, topic):
                known = process.metas.get(name_key(name))
                if known is None:
                    return
                role = Role(known.role.orientation, topic, known.role.interest)
                process.metas[name_key(name)] = Endpoint(
                    known.name, role, known.on_presence, known.on_absence, known.on_message
                )
        try:
            self._outward.append(outward(action, process.pid))
        except KlorError as error:
            self._fail(process, error)
            return
        process.awaiting += waits(action)
