"""Calls by HTTP libraries that know nothing of models."""

import asyncio
import http.client
import ssl
import threading
from urllib.parse import urlsplit

from common import arguments, facts_of, headers, path_and_body, run_async, run_sync

ARGS = arguments()


def with_status(status, body):
    return {"status": status, **facts_of(body)}


def use_requests():
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    size = ARGS.concurrency
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=size, pool_maxsize=size))

    def call(model, seen):
        path, body = path_and_body(ARGS, model)
        with session.post(ARGS.base + path, json=body, headers=headers(ARGS),
                          stream=ARGS.stream, timeout=120) as answer:
            pieces = []
            for piece in answer.iter_content(None):
                pieces.append(piece)
                seen()
            return with_status(answer.status_code, b"".join(pieces))

    run_sync(ARGS, call)


def use_http_client():
    import json

    base = urlsplit(ARGS.base)
    local = threading.local()

    def connect():
        if base.scheme == "https":
            return http.client.HTTPSConnection(base.hostname, base.port, timeout=120,
                                               context=ssl.create_default_context())
        return http.client.HTTPConnection(base.hostname, base.port, timeout=120)

    def call(model, seen):
        path, body = path_and_body(ARGS, model)
        kept = getattr(local, "connection", None)
        connection = kept if kept and not ARGS.no_keepalive else connect()
        local.connection = connection
        try:
            connection.request("POST", path, json.dumps(body), headers(ARGS))
            answer = connection.getresponse()
            pieces = []
            while piece := answer.read1(65536):
                pieces.append(piece)
                seen()
            # A body of known length that was read piece by piece is still open at its end.
            answer.close()
        except Exception:
            local.connection = None
            connection.close()
            raise
        if ARGS.no_keepalive:
            connection.close()
        return with_status(answer.status, b"".join(pieces))

    run_sync(ARGS, call)


def use_httpx_sync(module):
    limits = module.Limits(max_connections=ARGS.concurrency,
                           max_keepalive_connections=ARGS.concurrency)
    with module.Client(limits=limits, timeout=120) as client:
        def call(model, seen):
            path, body = path_and_body(ARGS, model)
            with client.stream("POST", ARGS.base + path, json=body,
                               headers=headers(ARGS)) as answer:
                pieces = []
                for piece in answer.iter_bytes():
                    pieces.append(piece)
                    seen()
                return with_status(answer.status_code, b"".join(pieces))

        run_sync(ARGS, call)


async def use_httpx_async(module):
    limits = module.Limits(max_connections=ARGS.concurrency,
                           max_keepalive_connections=ARGS.concurrency)
    async with module.AsyncClient(limits=limits, timeout=120) as client:
        async def call(model, seen):
            path, body = path_and_body(ARGS, model)
            async with client.stream("POST", ARGS.base + path, json=body,
                                     headers=headers(ARGS)) as answer:
                pieces = []
                async for piece in answer.aiter_bytes():
                    pieces.append(piece)
                    seen()
                return with_status(answer.status_code, b"".join(pieces))

        await run_async(ARGS, call)


async def use_aiohttp():
    import aiohttp

    connector = aiohttp.TCPConnector(limit=ARGS.concurrency, force_close=ARGS.no_keepalive)
    async with aiohttp.ClientSession(connector=connector) as session:
        async def call(model, seen):
            path, body = path_and_body(ARGS, model)
            async with session.post(ARGS.base + path, json=body, headers=headers(ARGS),
                                    timeout=aiohttp.ClientTimeout(total=120)) as answer:
                pieces = []
                async for piece in answer.content.iter_any():
                    pieces.append(piece)
                    seen()
                return with_status(answer.status, b"".join(pieces))

        await run_async(ARGS, call)


match ARGS.lib:
    case "requests":
        use_requests()
    case "http.client":
        use_http_client()
    case "httpx":
        import httpx
        use_httpx_sync(httpx)
    case "httpx-async":
        import httpx
        asyncio.run(use_httpx_async(httpx))
    case "httpx2":
        import httpx2
        use_httpx_sync(httpx2)
    case "httpx2-async":
        import httpx2
        asyncio.run(use_httpx_async(httpx2))
    case "aiohttp":
        asyncio.run(use_aiohttp())
    case other:
        raise SystemExit(f"unknown library {other}")
