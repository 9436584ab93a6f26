"""What all Python clients share: arguments, concurrency, and one JSON line for each call."""

import argparse
import asyncio
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

_LOCK = threading.Lock()


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lib", required=True, help="the library that makes the calls")
    parser.add_argument("--base", required=True, help="http(s)://host:port")
    parser.add_argument("--api", required=True)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--no-keepalive", action="store_true")
    parser.add_argument("--script", default="", help="tokens for the fake")
    parser.add_argument("--tag", default="x", help="makes model names unique")
    parser.add_argument("--model", help="a fixed model name, for real servers")
    parser.add_argument("--traceparent", help="sent with each call")
    parser.add_argument("--hold", action="store_true",
                        help="make one call on each connection, then wait for a line on stdin")
    parser.add_argument("--hold-script", help="the script of those first calls")
    parser.add_argument("--midstream", action="store_true",
                        help="the same, but say ready in the middle of those first calls")
    parser.add_argument("--linger", type=float, default=0,
                        help="seconds to keep connections open after the last call")
    return parser.parse_args()


def report(line):
    with _LOCK:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


class Plan:
    """The calls that are to be made, and what is said about them."""

    def __init__(self, args):
        self.args = args

    def model(self, number, held):
        if self.args.model:
            return self.args.model
        script = self.args.hold_script if held and self.args.hold_script else self.args.script
        script = f"-{script}" if script else ""
        return f"fake{script}-t{self.args.tag}{'h' if held else 'c'}{number}"

    def line(self, model, held, start):
        return {"asked": model, "held": held, "pid": os.getpid(), "start": start}

    def ready(self):
        report({"ready": os.getpid()})

    def wait(self):
        if not self.args.midstream:
            self.ready()
        sys.stdin.readline()


def finished(line, facts, error):
    line["end"] = time.monotonic_ns()
    if facts:
        line.update(facts)
    if error is not None:
        line["error"] = type(error).__name__
        line["why"] = str(error)[:200]
        line["status"] = getattr(error, "status_code", None) or facts_status(error)
    report(line)


def facts_status(error):
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None)


def run_sync(args, call):
    """`call(model, seen)` makes one call; it calls `seen()` at the first piece of a stream."""
    plan = Plan(args)

    def one(number, held, seen=lambda: None):
        line = plan.line(plan.model(number, held), held, time.monotonic_ns())
        facts, error = None, None
        try:
            facts = call(line["asked"], seen)
        except Exception as caught:  # noqa: BLE001: what went wrong is the result
            error = caught
        finished(line, facts, error)

    with ThreadPoolExecutor(max_workers=args.concurrency) as pool:
        if args.hold or args.midstream:
            count = args.concurrency
            waiting = [count]

            def seen():
                with _LOCK:
                    waiting[0] -= 1
                    last = waiting[0] == 0
                if last and args.midstream:
                    plan.ready()

            list(pool.map(lambda n: one(n, True, once(seen)), range(count)))
            plan.wait()
        list(pool.map(lambda n: one(n, False), range(args.count)))
        time.sleep(args.linger)


def once(function):
    done = []

    def call():
        if not done:
            done.append(True)
            function()

    return call


async def run_async(args, call):
    plan = Plan(args)
    gate = asyncio.Semaphore(args.concurrency)

    async def one(number, held, seen=lambda: None):
        async with gate:
            line = plan.line(plan.model(number, held), held, time.monotonic_ns())
            facts, error = None, None
            try:
                facts = await call(line["asked"], seen)
            except Exception as caught:  # noqa: BLE001
                error = caught
            finished(line, facts, error)

    if args.hold or args.midstream:
        waiting = [args.concurrency]

        def seen():
            waiting[0] -= 1
            if waiting[0] == 0 and args.midstream:
                plan.ready()

        await asyncio.gather(*(one(n, True, once(seen)) for n in range(args.concurrency)))
        await asyncio.get_running_loop().run_in_executor(None, plan.wait)
    await asyncio.gather(*(one(n, False) for n in range(args.count)))
    await asyncio.sleep(args.linger)


# What the bodies of all formats have in common, for the libraries that know none.

def path_and_body(args, model):
    text = "Say something."
    messages = [{"role": "user", "content": text}]
    stream = args.stream
    match args.api:
        case "chat":
            body = {"model": model, "messages": messages, "stream": stream}
            if stream:
                body["stream_options"] = {"include_usage": True}
            return "/v1/chat/completions", body
        case "completions":
            body = {"model": model, "prompt": text, "stream": stream, "max_tokens": 64}
            if stream:
                body["stream_options"] = {"include_usage": True}
            return "/v1/completions", body
        case "responses":
            return "/v1/responses", {"model": model, "input": text, "stream": stream}
        case "embeddings":
            return "/v1/embeddings", {"model": model, "input": text}
        case "messages":
            return "/v1/messages", {"model": model, "messages": messages, "max_tokens": 64,
                                    "stream": stream}
        case "ollama-chat":
            return "/api/chat", {"model": model, "messages": messages, "stream": stream}
        case "ollama-generate":
            return "/api/generate", {"model": model, "prompt": text, "stream": stream}
        case "ollama-embed":
            return "/api/embed", {"model": model, "input": text}
        case "mcp":
            number = model.rsplit("c", 1)[-1]
            return "/mcp", {"jsonrpc": "2.0", "id": f"id-{number}", "method": "tools/call",
                            "params": {"name": model, "arguments": {}}}
        case "a2a":
            message = {"messageId": model, "contextId": model, "role": "user",
                       "parts": [{"kind": "text", "text": text}]}
            return "/", {"jsonrpc": "2.0", "id": 1, "method": "message/send",
                         "params": {"message": message}}
    raise SystemExit(f"unknown api {args.api}")


def headers(args):
    extra = {"content-type": "application/json", "authorization": "Bearer none",
             "accept": "application/json, text/event-stream"}
    if args.traceparent:
        extra["traceparent"] = args.traceparent
    if args.no_keepalive:
        extra["connection"] = "close"
    return extra


def facts_of(body):
    """Reads a whole body (bytes), SSE, NDJSON or JSON, as a simple client would."""
    facts = {}
    for line in body.split(b"\n"):
        line = line.strip()
        if line.startswith(b"data:"):
            line = line[5:].strip()
        if not line.startswith(b"{"):
            continue
        try:
            take(facts, json.loads(line))
        except ValueError:
            continue
    return facts


def take(facts, value):
    value = value.get("response", value) if isinstance(value.get("response"), dict) else value
    value = value.get("message", value) if isinstance(value.get("message"), dict) \
        and "usage" in value["message"] else value
    for name in ("id", "model"):
        if isinstance(value.get(name), str):
            facts["answered" if name == "model" else name] = value[name]
    usage = value.get("usage") or {}
    for key, names in {"input": ("prompt_tokens", "input_tokens"),
                       "output": ("completion_tokens", "output_tokens")}.items():
        for name in names:
            if usage.get(name) is not None:
                facts[key] = usage[name]
    # Anthropic counts cached tokens beside the input.
    if "input_tokens" in usage and usage.get("cache_read_input_tokens"):
        facts["input"] += usage["cache_read_input_tokens"]
    if "prompt_eval_count" in value:
        facts["input"] = value["prompt_eval_count"]
    if "eval_count" in value:
        facts["output"] = value["eval_count"]
