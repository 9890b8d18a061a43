"""A second interpreter of the vectors, as naive as can be: lists that are scanned, terms as JSON, everything in one place.

It is written from the vectors' header and shares nothing with the kernel; what the two disagree about is a mistake in one.
"""

from __future__ import annotations

from typing import Any

Json = Any


def same(a: Json, b: Json) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def meet(a: Json, b: Json) -> tuple[bool, Json]:
    """Whether two topics have something in common, and what."""
    if a == "_":
        return True, b
    if b == "_":
        return True, a
    if isinstance(a, list) and isinstance(b, list):
        found = [meet(x, y) for x, y in zip(a, b, strict=False)]
        return len(a) == len(b) and all(ok for ok, _ in found), [common for _, common in found]
    return same(a, b), a


class End:
    def __init__(self, name: str, role: list[Json], rules: list[Json]) -> None:
        self.name, (self.way, self.topic, self.kind), self.rules = name, role, rules


class Proc:
    def __init__(self, name: str) -> None:
        self.name = name
        self.state: Json = None
        self.ends: list[End] = []
        self.metas: list[End] = []
        self.queue: list[Json] = []
        self.dead = False
        self.inner: Vm | None = None


class Vm:
    """One kernel. `prefix` is the path of its processes; `outer` collects what is to be done outside."""

    def __init__(self, log: list[Json], programs: Json, prefix: str = "", host: Proc | None = None) -> None:
        self.log, self.programs, self.prefix, self.host = log, programs, prefix, host
        self.procs: dict[int, Proc] = {}
        self.next = 0
        self.outer: list[Json] = []

    # --- Processes and rounds

    def new(self, name: str) -> Proc:
        proc = self.procs[self.next] = Proc(name)
        self.next += 1
        return proc

    def named(self, name: str) -> Proc | None:
        return next((p for p in reversed(self.procs.values()) if p.name == name), None)

    def host_of(self, name: str, actions: list[Json]) -> None:
        proc = self.new(name)
        proc.inner = Vm(self.log, self.programs, f"{self.prefix}{name}/", proc)
        proc.inner.new("boot").queue = list(actions)
        proc.queue = [["turn"]]

    def idle(self) -> bool:
        return not any(p.queue for p in self.procs.values())

    def round(self) -> None:
        for pid in sorted(self.procs):
            proc = self.procs.get(pid)
            if proc is None:
                continue
            batch, proc.queue = proc.queue, []
            for action in batch:
                if self.alive(proc):
                    self.do(proc, action)
        for pid in sorted(self.procs):
            proc = self.procs[pid]
            if not (proc.ends or proc.metas or proc.queue):
                self.leave(proc, "gc")

    def alive(self, proc: Proc) -> bool:
        return any(p is proc for p in self.procs.values())

    def turn(self, proc: Proc) -> None:
        assert proc.inner is not None
        proc.inner.round()
        out, proc.inner.outer = proc.inner.outer, []
        proc.queue += ([] if proc.inner.idle() else [["turn"]]) + out

    # --- Actions

    def do(self, proc: Proc, action: Json) -> None:
        word, *args = action
        args += [None] * 3
        if word == "add":
            self.add(proc, End(args[0], args[1:4], args[4] or []))
        elif word == "delete":
            for end in [e for e in proc.ends if e.name == args[0]]:
                self.withdraw(proc, end, args[1])
        elif word in ("send", "feedback"):
            self.message(proc, "pub" if word == "send" else "sub", args[0])
        elif word == "quit":
            self.leave(proc, args[0])
        elif word == "kill":
            victim = self.named(args[0])
            if victim is not None:
                self.leave(victim, args[1])
        elif word == "yield":
            proc.queue.append(["resume", args[0]])
        elif word == "resume":
            for each in args[0]:
                if self.alive(proc):
                    self.do(proc, each)
        elif word == "replace":
            self.replace(proc, args[0], args[1])
        elif word == "query":
            found = []
            for other, end in self.others(proc, args[0]):
                ok, common = meet(args[1], end.topic)
                if ok and end.kind == "participant":
                    found.append([self.peer(other, end), common])
            if not proc.dead:
                self.log.append([self.prefix + proc.name, "query", [args[0], args[1]], found])
        elif word == "spawn":
            self.spawn(proc, args[0], args[1] or {})
        elif word == "vm":
            self.host_of(args[0], args[1])
        elif word == "turn":
            self.turn(proc)
        elif word == "meta":
            self.meta(proc, args[0])

    def spawn(self, proc: Proc, program: str, options: Json) -> None:
        child = self.new(options.get("as", program))
        text = self.programs[program]
        if "raise" in text:
            self.fail(child, text["raise"])
        else:
            child.queue += text["init"]
            for name, way, topic, kind, *rules in options.get("endpoints", []):
                self.add(child, End(name, [way, topic, kind], rules[0] if rules else []))
        proc.queue += options.get("then", [])

    def meta(self, proc: Proc, action: Json) -> None:
        if self.host is None:
            self.fail(proc, ["no-meta-level"])
            return
        word, *args = action
        if word == "add":
            known = next((e for e in proc.metas if e.name == args[0]), None)
            end = End(args[0], args[1:4], args[4] if len(args) > 4 else [])
            if known is not None:
                if same([known.way, known.topic, known.kind], args[1:4]):
                    known.rules = end.rules
                else:
                    self.fail(proc, ["role-mismatch", args[0]])
                return
            proc.metas.append(end)
            self.outer.append(["add", (proc, args[0]), *args[1:4]])
        elif word == "delete":
            if any(e.name == args[0] for e in proc.metas):
                proc.metas = [e for e in proc.metas if e.name != args[0]]
                self.outer.append(["delete", (proc, args[0]), *args[1:]])
        else:
            self.outer.append(action)

    def fail(self, proc: Proc, reason: Json) -> None:
        if not proc.dead:
            proc.dead = True
            proc.queue.append(["quit", reason])

    def leave(self, proc: Proc, reason: Json) -> None:
        proc.dead = True
        for end in list(proc.ends):
            self.withdraw(proc, end, reason)
        for end in proc.metas:
            self.outer.append(["delete", (proc, end.name), reason])
        self.log.append([self.prefix + proc.name, "exit", reason])
        self.procs = {pid: p for pid, p in self.procs.items() if p is not proc}

    # --- Endpoints

    def others(self, proc: Proc, way: str) -> list[tuple[Proc, End]]:
        order = [proc, *(self.procs[pid] for pid in sorted(self.procs) if self.procs[pid] is not proc)]
        return [(p, e) for p in order for e in p.ends if e.way == way]

    def opposite(self, way: str) -> str:
        return "sub" if way == "pub" else "pub"

    def add(self, proc: Proc, end: End) -> None:
        known = next((e for e in proc.ends if e.name == end.name), None)
        if known is not None:
            if known.way == end.way and known.kind == end.kind and same(known.topic, end.topic):
                known.rules = end.rules
            else:
                self.fail(proc, ["role-mismatch", end.name])
            return
        proc.ends.append(end)
        for other, remote in self.others(proc, self.opposite(end.way)):
            self.pair(proc, end, other, remote, "+", end.topic, None)

    def withdraw(self, proc: Proc, end: End, reason: Json) -> None:
        proc.ends.remove(end)
        for other, remote in self.others(proc, self.opposite(end.way)):
            self.pair(proc, end, other, remote, "-", end.topic, reason)

    def replace(self, proc: Proc, name: str, topic: Json) -> None:
        for end in [e for e in proc.ends if e.name == name]:
            before, end.topic = end.topic, topic
            for sign, mine, yours, reason in (("+", topic, before, None), ("-", before, topic, "replaced")):
                for other, remote in self.others(proc, self.opposite(end.way)):
                    ok, common = meet(mine, remote.topic)
                    was, old = meet(yours, remote.topic)
                    if ok and not (was and same(common, old)):
                        self.pair(proc, end, other, remote, sign, mine, reason)

    def pair(self, proc: Proc, end: End, other: Proc, remote: End, sign: str, topic: Json, reason: Json) -> None:
        ok, common = meet(topic, remote.topic)
        if not ok:
            return
        for who, local, whom, seen in ((other, remote, proc, end), (proc, end, other, remote)):
            if seen.kind == "participant" or local.kind == "everything":
                event = [sign, [seen.way, common, seen.kind], *([reason] if sign == "-" else []), self.peer(whom, seen)]
                self.tell(who, local, event, reason)

    def message(self, proc: Proc, way: str, body: Json) -> None:
        for other, end in self.others(proc, self.opposite(way)):
            if meet(end.topic, body)[0]:
                self.tell(other, end, ["!", way, body], None)

    def peer(self, proc: Proc, end: End) -> str:
        name = end.name
        return f"{self.prefix}{proc.name}/" + (f"{name[0].name}^{name[1]}" if isinstance(name, tuple) else name)

    # --- Handlers

    def tell(self, proc: Proc, end: End, event: Json, reason: Json) -> None:
        if proc.dead:
            return
        if isinstance(end.name, tuple):
            inner, name = end.name
            assert proc.inner is not None
            target = next((e for e in inner.metas if e.name == name), None)
            if target is None or not proc.inner.alive(inner):
                return
            if not inner.dead:
                self.log.append([proc.inner.prefix + inner.name, f"^{name}", *event])
                proc.inner.run(inner, target.rules, event)
            self.turn(proc)
            return
        self.log.append([self.prefix + proc.name, end.name, *event])
        self.run(proc, end.rules, event)

    def run(self, proc: Proc, rules: list[Json], event: Json) -> None:
        for rule in rules:
            if rule["on"] == event[0] and ("if" not in rule or same(rule["if"], proc.state)):
                if "raise" in rule:
                    self.fail(proc, rule["raise"])
                else:
                    proc.state = rule.get("set", proc.state)
                    proc.queue += rule.get("do", [])
                return


def run(vector: Json) -> list[list[Json]]:
    """The events of each step without `hold`; scripts of `tests.conversations.scripts` have no variables."""
    log: list[Json] = []
    kernel = Vm(log, vector.get("programs", {}))
    found = []
    for step in vector["script"]:
        if "vm" in step:
            kernel.host_of(step["vm"], step["do"])
        else:
            proc = kernel.named(step["p"]) or kernel.new(step["p"])
            proc.queue += step["do"]
        if not step.get("hold"):
            while not kernel.idle():
                kernel.round()
            found.append(log[:])
            log.clear()
    return found
