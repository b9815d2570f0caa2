"""OpenTelemetry in addition to Locust's own --otel: Locust traces HttpUser, the plugin traces FastHttpUser.

The resource of each span has run_id and LABELS. The process's own resource is made before any run begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from locust.contrib.fasthttp import FastHttpSession
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.http import redact_url

from locust_kit.meters import LABELS_FIELD, RUN_FIELD
from locust_kit.patches import Patches, change_each

_FAILED = 400


class RunProcessor(SpanProcessor):
    """Puts the run into the resource of each span; the master adds the run to Locust's `options`."""

    def __init__(self, options: Any, resource: Resource) -> None:
        self._options, self._of_process = options, resource
        self._run_id, self._resource = "", resource

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  the SDK's name
        """Put the current run into the span."""
        run_id = getattr(self._options, RUN_FIELD, "")
        if run_id != self._run_id:
            labels = getattr(self._options, LABELS_FIELD, {})
            self._run_id, self._resource = run_id, self._of_process.merge(Resource({**labels, "run_id": run_id}))
        span._resource = self._resource  # noqa: SLF001  the SDK has no public name


def install(options: Any) -> str:
    """Trace FastHttpUser, and name the run in each span. Return one line; "" if Locust sends no spans."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        return ""
    provider.add_span_processor(RunProcessor(options, provider.resource))
    return change_each({"FastHttpUser": _trace_fast}, "each request is a span and sends traceparent")


def _trace_fast() -> None:
    """Make spans for FastHttpUser like those of HttpUser: the same kind, names and attributes."""
    tracer = trace.get_tracer("locust_kit")

    def request(
        original: Callable[..., Any], session: Any, method: Any, url: Any, name: Any = None, *args: Any, **options: Any
    ) -> Any:
        label = name or session.request_name or urlsplit(url).path or "/"
        attributes = {"http.method": str(method), "http.url": redact_url(session._build_url(url))}  # noqa: SLF001
        with tracer.start_as_current_span(f"{method} {label}", kind=SpanKind.CLIENT, attributes=attributes) as span:
            response = original(session, method, url, name, *args, **options)
            if status := response.status_code:
                span.set_attribute("http.status_code", status)
            if not 0 < status < _FAILED:
                span.set_status(StatusCode.ERROR)
            return response

    def send(original: Callable[..., Any], session: Any, *args: Any, **options: Any) -> Any:
        propagate.inject(options["headers"])
        return original(session, *args, **options)

    with Patches() as patches:
        patches.wrap(FastHttpSession, "request", request)
        patches.wrap(FastHttpSession, "_send_request_safe_mode", send)
