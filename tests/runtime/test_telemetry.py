"""Spans of roles: what is inside what, which trace they are in, how errors show, and that nobody else pays."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

pytest.importorskip("opentelemetry.sdk", reason="spans are collected by OpenTelemetry's SDK")

import itertools

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import klorpy
from klorpy.runtime.telemetry import Telemetry, session_context
from tests.test_layout import run as run_python

TEXT = """
(import opentelemetry.trace)

(defn look [] (. (opentelemetry.trace.get-current-span) name))

(defchor half [A B] (-> A B) [x]
  (B (/ 1 (A->B x))))

(defchor twice [A B] (-> A B) [x]
  (let [y (half [A B] x)]
    (half [A B] (A (+ x 1)))))

(defchor count-down [A B] (-> #{A B} #{A B}) [n]
  (if (= n 0) n (count-down [A B] (A=>B (A (- n 1))))))

(defchor apply-it [A B] (-> (-> A B) A B) [f x] (f x))

(defchor higher [A B] (-> A B) [x]
  (apply-it [A B] (chor (-> A B) [y] (A->B y)) x))

(defchor alone [A] (-> A) [] (A (look)))

(defchor failing [A B] (-> A B) [x]
  (twice [A B] x))
"""


@pytest.fixture
def spans() -> Iterator[tuple[Telemetry, InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield klorpy.telemetry(provider), exporter
    provider.shutdown()


@pytest.fixture(scope="module")
def ns() -> Any:
    return klorpy.evaluate(TEXT)


def play(chor: Any, instrument: Any, args: dict[str, list[Any]], session: str = "s1") -> None:
    """Play all roles in a session within this process."""

    async def main() -> None:
        with anyio.fail_after(30):
            async with klorpy.host() as node, anyio.create_task_group() as group:

                async def one(role: str) -> None:
                    async with node.join(chor, role, session) as seat:
                        config = {"role": role, "transport": seat, "instrument": instrument}
                        await klorpy.play_role(config, chor, *args.get(role, []))

                for role in chor.roles:
                    group.start_soon(one, role)

    anyio.run(main)


def of_role(exporter: InMemorySpanExporter, role: str) -> list[ReadableSpan]:
    """The spans of a role in the order in which they began."""
    found = [span for span in exporter.get_finished_spans() if (span.attributes or {})["klorpy.role"] == role]
    return sorted(found, key=lambda span: span.start_time or 0)


def tree(spans: list[ReadableSpan]) -> list[tuple[str, str | None]]:
    """Each span's name with that of the one around it."""
    names = {span.context.span_id: span.name for span in spans if span.context}
    return [(span.name, names.get(span.parent.span_id) if span.parent else None) for span in spans]


def test_a_call_is_a_span_inside_its_caller(ns: Any, spans: Any) -> None:
    instrument, exporter = spans
    play(ns.twice, instrument, {"A": [1]})
    for role in "AB":
        assert tree(of_role(exporter, role)) == [("twice", None), ("half", "twice"), ("half", "twice")]
    outer, inner, last = of_role(exporter, "B")
    assert outer.attributes == {
        "klorpy.choreography": "twice", "klorpy.role": "B", "klorpy.cast": ("A", "B"), "klorpy.session": "s1",
    }  # fmt: skip
    assert inner.attributes is not None
    assert str(inner.attributes["klorpy.site"]).startswith("(half [A B] x)")
    assert last.status.is_ok


def test_all_roles_of_a_session_are_in_one_trace(ns: Any, spans: Any) -> None:
    instrument, exporter = spans
    play(ns.twice, instrument, {"A": [1]}, "order-7")
    play(ns.twice, instrument, {"A": [1]}, "order-8")
    found = exporter.get_finished_spans()
    by_session: dict[Any, set[int]] = {}
    for span in found:
        by_session.setdefault(span.attributes["klorpy.session"], set()).add(span.context.trace_id)
    assert by_session == {name: {session_context(name).trace_id} for name in ("order-7", "order-8")}
    roots = [span for span in found if span.name == "twice"]
    assert {span.parent.span_id for span in roots} == {session_context(n).span_id for n in ("order-7", "order-8")}


def test_calls_in_tail_position_follow_each_other(ns: Any, spans: Any) -> None:
    instrument, exporter = spans
    play(ns.count_down, instrument, {"A": [3], "B": [3]})
    found = of_role(exporter, "A")
    assert [span.name for span in found] == ["count-down"] * 4
    assert found[0].parent is not None
    # The calls take each other's place, inside what was begun from outside.
    outermost = found[0].context
    assert outermost is not None
    assert all(span.parent is not None and span.parent.span_id == outermost.span_id for span in found[1:])
    for before, after in itertools.pairwise(found[1:]):
        assert before.end_time is not None
        assert after.start_time is not None
        assert before.end_time <= after.start_time


def test_choreographies_that_are_values_have_spans(ns: Any, spans: Any) -> None:
    instrument, exporter = spans
    play(ns.higher, instrument, {"A": [1]})
    assert [span.name.rstrip("0123456789_") for span in of_role(exporter, "B")] == ["higher", "apply-it", "chor"]


def test_an_error_is_in_every_span_that_it_ended(ns: Any, spans: Any) -> None:
    instrument, exporter = spans
    with pytest.raises(ExceptionGroup):
        play(ns.failing, instrument, {"A": [-1]})
    failing, twice, first, last = of_role(exporter, "B")
    assert [failing.name, twice.name, first.name, last.name] == ["failing", "twice", "half", "half"]
    assert first.status.is_ok
    for span in (last, failing):
        assert not span.status.is_ok
        assert span.status.description == "ZeroDivisionError: division by zero"
        assert span.events[0].name == "exception"


def test_what_failed_elsewhere_is_the_sessions_verdict(spans: Any) -> None:
    ns = klorpy.evaluate("(defchor wait [A B] (-> A B) [x] (A->B (A (/ 1 x))))")
    instrument, exporter = spans
    with pytest.raises(ExceptionGroup):
        play(ns.wait, instrument, {"A": [0]})
    (span,) = of_role(exporter, "B")
    assert span.attributes is not None
    assert span.attributes["klorpy.error"] == "peer-lost"
    assert span.status.description is not None
    assert "A failed at step 0 (ZeroDivisionError: division by zero" in span.status.description


def test_host_code_is_inside_its_choreography(ns: Any, spans: Any) -> None:
    instrument, _ = spans
    assert klorpy.run_role({"role": "A", "instrument": instrument}, ns.alone) == "alone"
    assert not trace.get_current_span().get_span_context().is_valid


def test_what_the_application_does_is_around_it_or_linked(ns: Any, spans: Any) -> None:
    instrument, exporter = spans
    provider = TracerProvider()

    async def main() -> None:
        with provider.get_tracer("application").start_as_current_span("request") as request:
            await klorpy.play_role({"role": "A", "instrument": instrument}, ns.alone)
            async with klorpy.host() as node, node.join(ns.alone, "A", "s2") as seat:
                await klorpy.play_role({"role": "A", "transport": seat, "instrument": instrument}, ns.alone)
        plain, in_session = exporter.get_finished_spans()
        assert plain.parent.span_id == request.get_span_context().span_id
        assert in_session.context.trace_id == session_context("s2").trace_id
        assert [link.context.span_id for link in in_session.links] == [request.get_span_context().span_id]

    anyio.run(main)


def test_what_is_no_instrument_is_refused(ns: Any) -> None:
    with pytest.raises(klorpy.KlorError, match="has the method began") as caught:
        klorpy.run_role({"role": "A", "instrument": 5}, ns.alone)
    assert caught.value.slug == "bad-config"


def test_opentelemetry_is_imported_when_it_is_asked_for() -> None:
    assert run_python("import klorpy, klorpy.runtime.play, sys; print('opentelemetry' in sys.modules)") == "False\n"


def test_without_the_package_there_is_an_error_with_help() -> None:
    code = (
        "import sys\nsys.modules['opentelemetry'] = None\nimport klorpy\n"
        "try:\n    klorpy.telemetry\nexcept klorpy.KlorError as error:\n    print(error.slug, error.help)"
    )
    assert run_python(code) == "bad-argument install klorpy with its extra telemetry\n"
    assert "opentelemetry" in sys.modules
