"""What holds of protocols, of sessions and of merging, as functions that raise AssertionError where it does not.

Each law takes a generated program (or a type) and says in its docstring which theorem it tests. Some say more by what they
return: a word that tells how the law was met, so that a test can see that it is not met in vain.

Source of the theorems about merging: M. Carbone, F. Montesi, "Merging multiparty protocols in multiparty choreographies"
(2012), section 2.2; soundness holds for the semantics in order only.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import Final

from klorpy.behaviour import automaton, enact, endpoints, local_type, merge, parse_gc, parse_global, typecheck
from klorpy.behaviour.behaviours import session_type
from klorpy.behaviour.enactment import Enactment
from klorpy.behaviour.endpoint import unaware
from klorpy.behaviour.expansion import distribute
from klorpy.behaviour.globalcalculus import (
    Chor,
    Com,
    Cond,
    Rec,
    Sel,
    Start,
    bodies,
    distinct_sessions,
    interactions,
    threads_of,
)
from klorpy.behaviour.globaltype import Content, GlobalType, Protocol
from klorpy.behaviour.inference import extract_tree, infer
from klorpy.behaviour.merge import Merged, merged_body
from klorpy.behaviour.mesh import Membership, member
from klorpy.behaviour.projection import local_of, project_plain
from klorpy.behaviour.reduction import Act, Branched, Erased, erase, in_order, out_of_order, reachable, state
from klorpy.behaviour.regular import Communication, End, Tree, tree, type_of
from klorpy.behaviour.sessiontyping import Session
from klorpy.behaviour.wellformed import tree_of
from klorpy.core.diagnostics import KlorError
from klorpy.testing.sessions import SessionProgram, flips

#: A session name that no generated choreography has.
M: Final = "m"
#: States that are looked at; a program with more is looked at in part.
STATES: Final = 60


def merged(program: SessionProgram) -> Merged:
    return merge(program.chor, program.channels)


# --- Correctness ------------------------------------------------------------------------------------------------------


def correct(program: SessionProgram) -> None:
    """Theorem 2.1: a choreography and its merge do the same, up to starts and to names of sessions and roles.

    Completeness: a step of C is none of ⟨C⟩m when it is a start, and else the same. Soundness: a step of ⟨C⟩m is one of C
    behind some starts. Both for every state that C can come to.
    """
    for chor in reachable(distinct_sessions(program.chor), 2000)[:STATES]:
        mine = merged_body(chor, M)
        theirs = {(erase(act), state(after)) for act, after in in_order(mine)}
        behind = chor
        while True:
            steps = in_order(behind)
            if not (steps and isinstance(steps[0][0], Start)):
                break
            [(_, after)] = steps
            _same(state(merged_body(after, M)), state(mine), "a start changes the merge")
            behind = state(after)
        ours = {(erase(act), state(merged_body(after, M))) for act, after in steps}
        _same(ours, theirs, f"steps of the merge of\n{chor}\n")


def complete_out_of_order(program: SessionProgram) -> None:
    """Half of theorem 2.1 with swaps: what C can do, ⟨C⟩m can do. The other half does not hold: a start orders its threads."""
    for chor in reachable(distinct_sessions(program.chor), 2000)[: STATES // 4]:
        theirs = {(erase(act), state(after)) for act, after in out_of_order(merged_body(chor, M))}
        for act, after in out_of_order(chor):
            if not isinstance(act, Start):
                step = (erase(act), state(merged_body(after, M)))
                assert step in theirs, f"the merge cannot do {step[0]} of\n{chor}"


def swaps_to_in_order(program: SessionProgram, source: random.Random, steps: int = 60) -> str:
    """What is left of the other half: every run of ⟨C⟩m with swaps is one in order, up to swaps. That is, every thread does in it
    what it does in the run in order in which threads decide alike.
    """
    chor = merged_body(distinct_sessions(program.chor), M)
    ran: list[Act] = []
    current = chor
    for _ in range(steps):
        options = out_of_order(current)
        if not options:
            break
        act, current = source.choice(options)
        ran.append(act)
    else:
        return "endless"
    decisions = [act for act in ran if isinstance(act, Branched)]
    straight: list[Act] = []
    current = chor
    while options := in_order(current):
        act, current = options[0]
        if isinstance(act, Branched):
            mine = next(decision for decision in decisions if decision.thread == act.thread)
            decisions.remove(mine)
            act, current = options[0] if mine.value else options[1]
        straight.append(act)
    for thread in threads_of(chor):
        _same([erase(act) for act in ran if thread in act.threads], [erase(act) for act in straight if thread in act.threads],
              f"what {thread} does")  # fmt: skip
    return "alike"


# --- Typing -----------------------------------------------------------------------------------------------------------


def typed(program: SessionProgram) -> str:
    """Theorem 2.2: the merge is typed by a type that is in the mesh of the protocols. Says what the mesh answers."""
    result = merged(program)
    typecheck(result.chor, {result.channel: result.protocol})
    protocols = list(program.channels.values())
    answer = member(result.tree, protocols, copies=max(3, result.typing.open_sessions))
    assert answer is not Membership.NO, f"{result.type} is not in the mesh"
    return str(answer)


def mesh_rejects(program: SessionProgram, source: random.Random) -> str:
    """The check of the mesh is not vacuous: of types that were changed in one place, many are out. Says the answer."""
    result = merged(program)
    return str(member(mutated(result.tree, source), list(program.channels.values()), copies=max(3, result.typing.open_sessions)))


def mutated(root: Tree, source: random.Random) -> Tree:
    """A tree with one communication changed: other roles, another sort or label, or another continuation."""
    places = [at for at, node in enumerate(root.nodes) if isinstance(node, Communication)]
    if not places:
        return root
    at = source.choice(places)
    node = root.nodes[at]
    assert isinstance(node, Communication)
    sender, receiver, branches = node.sender, node.receiver, list(node.branches)
    kind = source.randrange(4)
    if kind == 0:
        sender, receiver = receiver, sender
    elif kind == 1:
        content, target = branches[0]
        new = Content(None, ("file",)) if content.label is None else Content("other")
        branches[0] = (new, target)
    elif kind == 2:
        content, _ = branches[-1]
        branches[-1] = (content, source.randrange(len(root.nodes)))
    else:
        receiver = "nobody"
    nodes = (*root.nodes[:at], Communication(sender, receiver, tuple(branches)), *root.nodes[at + 1 :])
    return Tree(nodes, root.root).minimal()


def reduces(program: SessionProgram) -> None:
    """Subject reduction: a step of a typed choreography leaves it typed, its sessions one step further."""
    trees = {channel: tree_of(protocol) for channel, protocol in program.channels.items()}
    todo: list[tuple[Chor, Mapping[str, Session], Mapping[tuple[str, str], str | None]]]
    todo = [(typecheck(program.chor, program.channels).chor, {}, {})]
    for _ in range(STATES):
        if not todo:
            return
        chor, sessions, variables = todo.pop()
        typecheck(chor, program.channels, sessions=sessions, variables=variables)
        for act, after in in_order(chor):
            known = {**variables, (act.receiver.thread, act.variable): act.sort} if isinstance(act, Com) else variables
            todo.append((after, _further(act, sessions, program.channels, trees), known))


def _further(
    act: Act, sessions: Mapping[str, Session], channels: Mapping[str, Protocol], trees: Mapping[str, Tree]
) -> Mapping[str, Session]:
    if isinstance(act, Start):
        owners = {player.role: player.thread for player in act.players}
        new = Session(channels[act.channel].name, trees[act.channel], trees[act.channel].root, owners)
        return {**sessions, act.session: new}
    if isinstance(act, (Com, Sel)):
        session = sessions[act.session]
        node = session.tree.nodes[session.node]
        assert isinstance(node, Communication)
        label = act.label if isinstance(act, Sel) else None
        [target] = [target for content, target in node.branches if content.label == label]
        return {**sessions, act.session: Session(session.protocol, session.tree, target, session.owners)}
    return sessions


# --- What merging keeps -----------------------------------------------------------------------------------------------


def idempotent(program: SessionProgram) -> None:
    """Merging a merge changes nothing but the names of the session and its channel."""
    once = merged(program)
    twice = merge(once.chor, {once.channel: once.protocol})
    _same(twice.tree, once.tree, "the type of the second merge")
    _same(_shape(twice.chor), _shape(once.chor), "the second merge")


def _shape(chor: Chor) -> str:
    text = chor.text
    for step in interactions(chor):
        if isinstance(step, Start):
            text = text.replace(f" {step.session} (", " m (").replace(f"start {step.channel} ", "start z ")
    return text


def preserved(program: SessionProgram) -> None:
    """Merging keeps every com, sel and if, in number and order, and leaves one start."""
    result = merged(program)
    _same([_kind(step) for step in interactions(result.chor) if not isinstance(step, Start)],
          [_kind(step) for step in interactions(program.chor) if not isinstance(step, Start)], "interactions")  # fmt: skip
    _same(_conditionals(result.chor), _conditionals(program.chor), "conditionals")
    _same(sum(isinstance(step, Start) for step in interactions(result.chor)), 1, "starts")
    starts = [step for step in interactions(program.chor) if isinstance(step, Start)]
    if len(starts) == 1 and program.chor.steps[:1] == (starts[0],):
        bare = Chor(program.chor.steps[1:], program.chor.last)
        _same(Chor(result.chor.steps[1:], result.chor.last), merged_body(bare, result.session), "the merge of one session")


def _kind(step: object) -> Erased:
    assert isinstance(step, (Com, Sel))
    return erase(step)


def _conditionals(chor: Chor) -> list[str]:
    return [f"{body.last.expr} {body.last.thread}" for body in bodies(chor) if isinstance(body.last, Cond)]


def uses_fewer_labels(program: SessionProgram) -> None:
    """What a session is inferred to do is its protocol with at most the same labels.

    In a loop without end a session may never go on, and then seems to have ended early.
    """
    loops = any(isinstance(body.last, Rec) for body in bodies(program.chor))
    for channel, type_ in infer(typecheck(program.chor, program.channels).chor).items():
        assert narrower(tree(type_), tree_of(program.channels[channel]), early=loops), f"{channel}: {type_}"


def narrower(one: Tree, other: Tree, *, early: bool = False) -> bool:
    """Whether `one` does what `other` does, with at most the same labels; `early`: it may end before."""
    seen = {(one.root, other.root)}
    todo = [(one.root, other.root)]
    while todo:
        at, place = todo.pop()
        node, wider = one.nodes[at], other.nodes[place]
        if isinstance(node, End) or isinstance(wider, End):
            if type(node) is not type(wider) and not (early and isinstance(node, End)):
                return False
            continue
        if (node.sender, node.receiver) != (wider.sender, wider.receiver):
            return False
        targets = dict(wider.branches)
        for content, target in node.branches:
            if content not in targets:
                return False
            pair = (target, targets[content])
            if pair not in seen:
                seen.add(pair)
                todo.append(pair)
    return True


# --- Projection and runs ----------------------------------------------------------------------------------------------


def projections_agree(program: SessionProgram) -> str:
    """The protocol of the projection is the projection of the protocol: for every thread of a merge that can be projected,
    its behaviour has the automaton of its local type.
    """
    result = merged(program)
    if not result.projectable:
        return "not projectable"
    for thread, behaviour in endpoints(result.chor).items():
        _same(str(automaton(session_type(behaviour, result.session))),
              str(automaton(local_type(result.protocol, thread))), f"the automaton of {thread}")  # fmt: skip
    return "projectable"


def notified(program: SessionProgram) -> str:
    """Notification keeps the merge typed, and adds selections only. Says whether all threads can be projected then."""
    plain = merged(program)
    if plain.projectable:
        return "nothing to do"
    told = merge(program.chor, program.channels, notify=True)
    typecheck(told.chor, {told.channel: told.protocol})
    assert len(told.unaware) <= len(plain.unaware)
    return "projectable" if told.projectable else "not projectable"


def runs_alike(program: SessionProgram, seed: int = 0) -> str:
    """A run and a run of the merge do the same at every thread, in any schedule, and the merge starts once.

    No run of a choreography that can be projected waits for ever.
    """
    result = merged(program)
    if not result.projectable or unaware(program.chor):
        return "not projectable"
    original = _enacted(program.chor, seed, 0)
    again = _enacted(program.chor, seed, 1)
    after = _enacted(result.chor, seed, 2)
    if original is None or again is None or after is None:
        return "endless"
    _same(again.events, original.events, "events in another schedule")
    _same(_without_sessions(after), _without_sessions(original), "events of the merge")
    _same(after.payload_messages, original.payload_messages, "values and selections")
    _same(after.starts, 1, "starts of the merge")
    return "alike"


def _enacted(chor: Chor, seed: int, schedule: int) -> Enactment | None:
    try:
        return enact(chor, flips(seed), seed=schedule, max_messages=300)
    except KlorError as error:
        if error.slug != "timeout":
            raise
        return None


def _without_sessions(run: Enactment) -> dict[str, list[tuple[str, object]]]:
    return {
        thread: kept for thread, events in run.events.items()
        if (kept := [(event.kind, event.value) for event in events if event.kind != "start"])
    }  # fmt: skip


# --- Types ------------------------------------------------------------------------------------------------------------


def reads_back(type_: GlobalType) -> None:
    """What is printed is read as what it was, and a tree that is written as a type has that tree."""
    _same(parse_global(type_.text), type_, "the type that is read back")
    root = tree(type_)
    _same(tree(type_of(root)), root, "the tree of the type of a tree")
    _same(tree(distribute(type_of(root))), root, "the tree of the distributed type")


def chor_reads_back(program: SessionProgram) -> None:
    """A choreography that is printed is read as what it was, on one line as on many."""
    _same(parse_gc(program.chor.text), program.chor, "the choreography that is read back")
    _same(parse_gc(str(program.chor)), program.chor, "the choreography that is read back")


def full_extends_plain(type_: GlobalType, roles: tuple[str, ...]) -> Counter[str]:
    """Where plain merging finds a projection, full merging finds the same. Counts who finds one."""
    found: Counter[str] = Counter()
    for role in roles:
        try:
            plain = automaton(project_plain(distribute(type_), role))
        except KlorError:
            plain = None
        try:
            full = automaton(local_of(type_, role))
        except KlorError:
            full = None
        if plain is not None:
            _same(str(full), str(plain), f"the automaton of {role} in {type_}")
        found["both" if plain else "full" if full else "neither"] += 1
    return found


def projections_fit(type_: GlobalType, roles: tuple[str, ...], source: random.Random, steps: int = 200) -> str:
    """The local types of a protocol fit together: run as automata over queues, in a random schedule, no role receives what it
    does not expect, none waits for ever while nothing is under way, and no message is left when all are done.
    """
    try:
        machines = {role: automaton(local_of(type_, role)) for role in roles}
    except KlorError:
        return "not projectable"
    states = dict.fromkeys(roles, 0)
    queues: dict[tuple[str, str], list[Content]] = {}
    for _ in range(steps):
        moves: list[tuple[str, str, Content, bool, int]] = []
        for role, machine in machines.items():
            expected = {(a.peer, a.content) for a in machine.outgoing[states[role]] if not a.sends}
            for peer in {peer for peer, _ in expected}:
                waiting = queues.get((peer, role))
                if waiting:
                    assert (peer, waiting[0]) in expected, f"{role} does not expect {waiting[0]} from {peer} in {type_}"
            for action, target in machine.outgoing[states[role]].items():
                key = (role, action.peer) if action.sends else (action.peer, role)
                if action.sends or queues.get(key, [])[:1] == [action.content]:
                    moves.append((role, action.peer, action.content, action.sends, target))
        if not moves:
            assert not any(queues.values()), f"messages are left in {type_}: {queues}"
            for role, machine in machines.items():
                assert states[role] in machine.final, f"{role} waits for ever in {type_}"
            return "done"
        role, peer, content, sends, target = source.choice(moves)
        states[role] = target
        if sends:
            queues.setdefault((role, peer), []).append(content)
        else:
            queues[peer, role].pop(0)
    return "endless"


def extracts(program: SessionProgram) -> None:
    """The type of a merge is the tree that is inferred for its session."""
    result = merged(program)
    _same(tree(result.type), result.tree, "the type as text")
    _same(extract_tree(Chor(result.chor.steps[1:], result.chor.last), result.session), result.tree, "the tree")


def _same(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise AssertionError(f"{what}:\n  found    {found}\n  expected {expected}")
