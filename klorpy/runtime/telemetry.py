"""Roles as OpenTelemetry spans: one for each choreography that a role begins, those that it calls inside.

    call  ->  span, current while the call runs

The roles of a session share one trace, without a word between them: its identity is made from the session's name. The
package `opentelemetry-api` (the extra `telemetry`) is imported with this module only; what becomes of spans is the
application's choice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from klorpy.core.diagnostics import KlorError
from klorpy.core.events import describe_error
from klorpy.runtime.config import Call

try:
    from opentelemetry import context, trace
    from opentelemetry.trace import (
        Link,
        NonRecordingSpan,
        Span,
        SpanContext,
        Status,
        StatusCode,
        TraceFlags,
        TracerProvider,
    )
except ImportError:
    raise KlorError(
        "the package opentelemetry-api is not installed", slug="bad-argument", help="install klorpy with its extra telemetry"
    ) from None

_SCOPE: Final = "klorpy"


class Telemetry:
    """An instrument that makes spans. See `telemetry`."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=provider)

    def began(self, call: Call) -> Callable[[BaseException | None], None]:
        attributes: dict[str, str | list[str]] = {
            "klorpy.choreography": call.choreography, "klorpy.role": call.role, "klorpy.cast": list(call.cast),
        }  # fmt: skip
        if call.session:
            attributes["klorpy.session"] = call.session
        if call.site is not None:
            attributes["klorpy.site"] = str(call.site)
        parent = None
        links = []
        if call.session and call.site is None:
            # The role's own begin: in the trace of the session, with a link to what the application is doing.
            parent = trace.set_span_in_context(NonRecordingSpan(session_context(call.session)))
            around = trace.get_current_span().get_span_context()
            links = [Link(around)] if around.is_valid else []
        span = self._tracer.start_span(call.choreography, parent, attributes=attributes, links=links)
        token = context.attach(trace.set_span_in_context(span))

        def ended(error: BaseException | None) -> None:
            context.detach(token)
            _end(span, error)

        return ended


def telemetry(provider: TracerProvider | None = None) -> Telemetry:
    """An instrument for RoleConfig that makes an OpenTelemetry span of every choreography that a role begins.

    `provider` makes the spans; None is the application's global one. A span has the choreography's name, and the
    attributes `klorpy.choreography`, `klorpy.role`, `klorpy.cast`, `klorpy.session` and `klorpy.site`. All roles of a
    session, wherever they run, are in one trace. Spans of host code are inside those of its choreography. Raises
    KlorError `bad-argument` when opentelemetry-api is not installed.

    >>> import klorpy
    >>> ns = klorpy.evaluate("(defchor twice [A] (-> A A) [x] (A (* 2 x)))")
    >>> klorpy.run_role({"role": "A", "instrument": telemetry()}, ns.twice, 21)
    42
    """
    return Telemetry(provider)


def session_context(session: str) -> SpanContext:
    """What stands above the spans of all roles of a session: the same in every process.

    >>> session_context("order-7") == session_context("order-7"), session_context("order-8").is_valid
    (True, True)
    """
    digest = hashlib.blake2b(session.encode(), digest_size=24, person=b"klorpy session").digest()
    return SpanContext(
        int.from_bytes(digest[:16], "big") or 1, int.from_bytes(digest[16:], "big") or 1,
        is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )  # fmt: skip


def _end(span: Span, error: BaseException | None) -> None:
    if error is not None:
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, describe_error(error)))
        if isinstance(error, KlorError):
            span.set_attribute("klorpy.error", error.slug)
    span.end()
