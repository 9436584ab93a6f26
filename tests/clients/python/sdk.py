"""Calls by the providers' own SDKs, sync and async."""

import asyncio

from common import arguments, run_async, run_sync

ARGS = arguments()
MESSAGES = [{"role": "user", "content": "Say something."}]
EXTRA = {}
# The default gives up a connection after 5 s, which 200 at once may need on a small machine.
# A fake fails on purpose and each try counts; a real server may hang up a kept connection.
PATIENT = {"api_key": "none", "max_retries": 3 if ARGS.model else 0, "timeout": 120}
if ARGS.traceparent:
    EXTRA["traceparent"] = ARGS.traceparent
if ARGS.no_keepalive:
    EXTRA["connection"] = "close"


def openai_request(client, model):
    """The call of the SDK that the API wants, with its arguments."""
    extra = {"extra_headers": EXTRA}
    stream = {"stream": True} if ARGS.stream else {}
    match ARGS.api:
        case "chat":
            if ARGS.stream:
                stream["stream_options"] = {"include_usage": True}
            # Real models may go on for long.
            return client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=64,
                                                  **stream, **extra)
        case "completions":
            if ARGS.stream:
                stream["stream_options"] = {"include_usage": True}
            return client.completions.create(model=model, prompt="Say something.", max_tokens=64,
                                             **stream, **extra)
        case "responses":
            return client.responses.create(model=model, input="Say something.",
                                           max_output_tokens=64, **stream, **extra)
        case "embeddings":
            return client.embeddings.create(model=model, input="Say something.", **extra)
    raise SystemExit(f"openai has no {ARGS.api}")


def openai_facts(facts, value):
    value = getattr(value, "response", None) or value
    for ours, theirs in (("id", "id"), ("answered", "model")):
        if getattr(value, theirs, None):
            facts[ours] = getattr(value, theirs)
    usage = getattr(value, "usage", None)
    if usage is not None:
        facts["input"] = getattr(usage, "prompt_tokens", None) or getattr(usage, "input_tokens", None)
        output = getattr(usage, "completion_tokens", None) or getattr(usage, "output_tokens", None)
        if output is not None:
            facts["output"] = output
    for choice in getattr(value, "choices", None) or []:
        if choice.finish_reason:
            facts.setdefault("finish", []).append(choice.finish_reason)


def anthropic_request(client, model):
    stream = {"stream": True} if ARGS.stream else {}
    return client.messages.create(model=model, messages=MESSAGES, max_tokens=64,
                                  extra_headers=EXTRA, **stream)


def anthropic_facts(facts, value):
    value = getattr(value, "message", None) or value
    for ours, theirs in (("id", "id"), ("answered", "model")):
        if getattr(value, theirs, None):
            facts[ours] = getattr(value, theirs)
    usage = getattr(value, "usage", None)
    if usage is not None:
        if getattr(usage, "input_tokens", None) is not None:
            facts["input"] = usage.input_tokens + (usage.cache_read_input_tokens or 0)
        facts["output"] = usage.output_tokens
    reason = getattr(value, "stop_reason", None) or \
        getattr(getattr(value, "delta", None), "stop_reason", None)
    if reason:
        facts["finish"] = [reason]


def ollama_request(client, model):
    match ARGS.api:
        case "ollama-chat":
            return client.chat(model=model, messages=MESSAGES, stream=ARGS.stream,
                               options={"num_predict": 64})
        case "ollama-generate":
            return client.generate(model=model, prompt="Say something.", stream=ARGS.stream,
                                   options={"num_predict": 64})
        case "ollama-embed":
            return client.embed(model=model, input="Say something.")
    raise SystemExit(f"ollama has no {ARGS.api}")


def ollama_facts(facts, value):
    if getattr(value, "model", None):
        facts["answered"] = value.model
    for ours, theirs in (("input", "prompt_eval_count"), ("output", "eval_count")):
        if getattr(value, theirs, None) is not None:
            facts[ours] = getattr(value, theirs)
    if getattr(value, "done_reason", None):
        facts["finish"] = [value.done_reason]


def sync(client, request, take):
    def call(model, seen):
        facts = {"status": 200}
        answer = request(client, model)
        if not ARGS.stream:
            take(facts, answer)
            return facts
        for piece in answer:
            take(facts, piece)
            seen()
        return facts

    run_sync(ARGS, call)


async def parallel(client, request, take):
    async def call(model, seen):
        facts = {"status": 200}
        answer = await request(client, model)
        if not ARGS.stream:
            take(facts, answer)
            return facts
        async for piece in answer:
            take(facts, piece)
            seen()
        return facts

    await run_async(ARGS, call)


match ARGS.lib:
    case "openai":
        import openai
        sync(openai.OpenAI(base_url=ARGS.base + "/v1", **PATIENT),
             openai_request, openai_facts)
    case "openai-async":
        import openai
        client = openai.AsyncOpenAI(base_url=ARGS.base + "/v1", **PATIENT)
        asyncio.run(parallel(client, openai_request, openai_facts))
    case "anthropic":
        import anthropic
        sync(anthropic.Anthropic(base_url=ARGS.base, **PATIENT),
             anthropic_request, anthropic_facts)
    case "anthropic-async":
        import anthropic
        client = anthropic.AsyncAnthropic(base_url=ARGS.base, **PATIENT)
        asyncio.run(parallel(client, anthropic_request, anthropic_facts))
    case "ollama":
        import ollama
        sync(ollama.Client(host=ARGS.base, headers=EXTRA), ollama_request, ollama_facts)
    case "ollama-async":
        import ollama
        asyncio.run(parallel(ollama.AsyncClient(host=ARGS.base, headers=EXTRA), ollama_request,
                             ollama_facts))
    case other:
        raise SystemExit(f"unknown SDK {other}")
