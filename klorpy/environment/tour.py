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
greet gets another argument. klorpy warns: welcome was written for the old one.
Calling welcome would fail now, with an error and not with a confused conversation.""",
        """\
(defchor greet [A B] (-> A B B) [name word]
  (B (+ word ", " (A->B name) "!")))""",
    ),
    Step(
        "Mend what depends on it",
        """\
welcome needs a word for A. Written anew, it fits again. Had only the types moved,
,recompile would have done this for everything that is stale.""",
        """\
(defchor welcome [A B C] (-> C A B) [name word]
  (A->B (greet [C A] name word)))""",
    ),
    Step(
        "Every order",
        """\
Roles run at the same time, so events may happen in many orders. explore tries them,
and tells whether they all come to the same.""",
        '(explore welcome "Ada" "Welcome")',
    ),
)

END: Final = """\
That was the tour. ,step greet "Ada" "Good evening" runs a choreography message by
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
