"""The text of `,tour`: choreographies in five minutes. Pure; who shows it decides how.

Each step has a few lines to read and an input to try. Later steps use what earlier ones defined, so trying them in
order always works; `tests/environment/repl/test_tour.py` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from klorpy.core.diagnostics import KlorError
from klorpy.environment.outputs import Text


@dataclass(frozen=True, slots=True)
class Step:
    """`title` and `text` to read, `form` to try. `goes_wrong` says that klorpy refuses the form, as the text tells."""

    title: str
    text: str
    form: str
    goes_wrong: bool = False


STEPS: Final = (
    Step(
        "A program for two",
        """\
A choreography says who does what and who tells whom, in one text. This one has two
roles, A and B: A has a name, B makes a greeting of it. (A->B name) is a message.
(-> A B) is the type: something at A goes in, something at B comes out.
Evaluate it to define greet.""",
        '''(defchor greet [A B] (-> A B) [name]
  (B (+ "Hello, " (A->B name))))''',
    ),
    Step(
        "Run it",
        """\
klorpy makes a program for each role. simulate-chor runs them all, here and now, and
shows what each ends with. A has nothing to show for it: its name went to B.""",
        '(simulate-chor greet "Ada")',
    ),
    Step(
        "See the message",
        """\
Every run can be drawn: a column for each role, an arrow for each message.""",
        ",msc",
    ),
    Step(
        "What B does",
        """\
This is the program that klorpy made for B: it waits for A's message and goes on.
A's program sends it. They fit together by construction, whatever you write.""",
        ",project greet B",
    ),
    Step(
        "Make a mistake",
        """\
B uses what only A has. On a network this would be an error at night; here it is
one when you write it. Look at the last line: klorpy says how to mend it.""",
        """\
(defchor broken [A B] (-> A B) [name]
  (B (+ "Hello, " name)))""",
        goes_wrong=True,
    ),
    Step(
        "Decide together",
        """\
(A=>B x) shares a value: both have it afterwards, so both may branch on it. Were it
only moved, A would not know which way B went, and klorpy would say so.""",
        """\
(defchor haggle [A B] (-> A B A) [offer price]
  (if (A=>B (A (> offer 100)))
    (B->A (B (- price 10)))
    (B->A price)))""",
    ),
    Step(
        "A choreography in a choreography",
        """\
Choreographies call each other with their roles: C greets A here, so what was A in
greet is C, and what was B is A.""",
        """\
(defchor welcome [A B C] (-> C B) [name]
  (A->B (greet [C A] name)))""",
    ),
    Step(
        "Change it while it lives",
        """\
Now A learns its greeting, too: #{A B} says that both have the same. The signature is
another, so klorpy warns: welcome was compiled against the old one. To run it now would
be an error, and not a conversation in which nobody understands the other.""",
        '''(defchor greet [A B] (-> A #{A B}) [name]
  (B=>A (B (+ "Hello, " (A->B name)))))''',
    ),
    Step(
        "Mend what depends on it",
        """\
What is stale is compiled again from its own text, callees first. welcome still fits.""",
        ",recompile",
    ),
    Step(
        "Every order",
        """\
Roles run at the same time, so things may happen in many orders. This tries them, and
tells whether they all come to the same.""",
        ',explore welcome "Ada"',
    ),
)

END: Final = """\
That was the tour. ,step welcome "Ada" runs a choreography message by
message; ,help lists everything else. Larger choreographies are in klorpy.examples."""


@dataclass(frozen=True, slots=True)
class Tour:
    """Where one is: `at` is the number of a step, from 0; as many as there are steps is the end."""

    at: int = 0

    @property
    def step(self) -> Step | None:
        return STEPS[self.at] if self.at < len(STEPS) else None

    def moved(self, by: int) -> Tour:
        return Tour(min(max(self.at + by, 0), len(STEPS)))

    def heading(self) -> str:
        step = self.step
        return f"{self.at + 1} of {len(STEPS)} · {step.title}" if step else "The end"


def tour(session: Any, rest: str) -> Text:
    """The step whose number is `rest`, or the first, where no prompt can offer the form: the form stands below."""
    if rest and not (rest.isdecimal() and 1 <= int(rest) <= len(STEPS) + 1):
        raise KlorError(f"the tour has no step {rest}", slug="bad-argument", help=f"its steps are 1 to {len(STEPS)}")
    place = Tour(int(rest or 1) - 1)
    step = place.step
    if step is None:
        return Text((place.heading(), "", *END.splitlines()))
    form = [f"    {line}" for line in step.form.splitlines()]
    return Text((place.heading(), "", *step.text.splitlines(), "", *form, "", f",tour {place.at + 2} goes on."))
