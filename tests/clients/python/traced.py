"""Asks a chat server as a program does whose own telemetry is on: the OpenTelemetry SDK makes a span
of each request and sends its `traceparent`.

Usage: traced.py URL. Each line of standard input is a request's body; for each it prints a line of
JSON with the answer and the span's ids.
"""

import json
import sys

import httpx
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ended = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ended))
HTTPXClientInstrumentor().instrument(tracer_provider=provider)

for body in sys.stdin:
    headers = {"content-type": "application/json"}
    answer = httpx.post(sys.argv[1], content=body, headers=headers, timeout=180)
    (span,) = ended.get_finished_spans()
    ended.clear()
    said = {
        "status": answer.status_code,
        "body": answer.text,
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
    }
    print(json.dumps(said), flush=True)
