"""Servers that ask a model for each request, for the test of parents inside a process.

Usage: served.py KIND PORT MODEL_URL FOLDER. Each request's path ends with its number, and each call that
it makes carries that number in its body: the judge reads it, the probe does not.
"""

import asyncio
import contextvars
import json
import os
import pathlib
import queue
import ssl
import sys
import threading
import time
import urllib.request

KIND, PORT, MODEL = sys.argv[1].removesuffix("-tls"), int(sys.argv[2]), sys.argv[3]
TLS = None
if sys.argv[1].endswith("-tls"):
    # Every client takes what it trusts from there.
    os.environ["SSL_CERT_FILE"] = f"{sys.argv[4]}/authority.pem"
    TLS = {"certfile": f"{sys.argv[4]}/server.pem", "keyfile": f"{sys.argv[4]}/server.key"}


def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(**TLS)
    return context


def body(number):
    return {"model": "m", "messages": [{"role": "user", "content": f"number={number}"}]}


def ask(number):
    data = json.dumps(body(number)).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(MODEL + "/v1/chat/completions", data, headers)
    with urllib.request.urlopen(request) as answer:
        answer.read()


def threads():
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            number = self.path.rsplit("/", 1)[1]
            ask(number)
            ask(number)
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 512

    server = Server(("127.0.0.1", PORT), Handler)
    if TLS:
        server.socket = tls_context().wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def gunicorn(worker):
    from gunicorn.app.base import BaseApplication

    def app(environ, start_response):
        environ["wsgi.input"].read()
        number = environ["PATH_INFO"].rsplit("/", 1)[1]
        ask(number)
        ask(number)
        start_response("200 OK", [("content-length", "2")])
        return [b"ok"]

    class Server(BaseApplication):
        def load_config(self):
            self.cfg.set("bind", f"127.0.0.1:{PORT}")
            self.cfg.set("worker_class", worker)
            self.cfg.set("workers", 2)
            self.cfg.set("threads", 1 if worker == "sync" else 8)
            self.cfg.set("timeout", 300)

        def load(self):
            return app

    Server().run()


def streams():
    from urllib.parse import urlsplit

    model = urlsplit(MODEL)
    idle = []

    async def head(reader):
        length, first = 0, await reader.readline()
        while (line := (await reader.readline()).strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return first, length

    async def call(number):
        if idle:
            reader, writer = idle.pop()
        else:
            reader, writer = await asyncio.open_connection(model.hostname, model.port)
        data = json.dumps(body(number)).encode()
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: model\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(data), data)
        )
        _, length = await head(reader)
        await reader.readexactly(length)
        idle.append((reader, writer))

    later = set()
    freed = queue.Queue()

    async def serve(reader, writer):
        while True:
            first, length = await head(reader)
            if not first:
                return writer.close()
            await reader.readexactly(length)
            path, number = first.split()[1].rsplit(b"/", 1)
            if path == b"/detached":
                # Contexts that are no copies of the current one, at addresses that were used before.
                for context in contextvars.Context(), contextvars.copy_context().copy():
                    await context.run(asyncio.ensure_future, call(int(number)))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                await writer.drain()
                continue
            number = int(number)
            if path == b"/freed":
                copies = [contextvars.copy_context() for _ in range(1000)]
                for context in copies:
                    context.run(int)
                del copies, context
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                await writer.drain()
                freed.put(number)
                continue
            await call(number)
            await asyncio.gather(*(call(number) for _ in range(3)))
            await asyncio.to_thread(ask, number)
            task = asyncio.create_task(call(number))
            later.add(task)
            task.add_done_callback(later.discard)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", PORT, backlog=512)
        if KIND == "churn":
            threading.Thread(target=strangers, args=(freed,), daemon=True).start()
            later.add(asyncio.create_task(churn(10_000)))
        await server.serve_forever()

    asyncio.run(main())


async def churn(rate):
    """Makes so many contexts a second, which live for a moment, and notes how many there were."""
    start, made, noted = time.monotonic(), 0, 0
    while True:
        await asyncio.sleep(0.01)
        passed = time.monotonic() - start
        # Each of these is called in a copy of the current context.
        for _ in range(min(1000, int(rate * passed) - made)):
            asyncio.get_running_loop().call_soon(int)
            made += 1
        if passed - noted > 0.2:
            noted = passed
            note = pathlib.Path(sys.argv[4], "contexts.new")
            note.write_text(f"{made} {passed}")
            note.replace(note.with_name("contexts"))


def strangers(freed):
    """Makes calls on new threads, which belong to no request: half of them in contexts that are no
    copies, at addresses that have just been freed."""
    while True:
        number = freed.get()
        for _ in range(10):
            threading.Thread(target=ask, args=(number,)).start()
            threading.Thread(target=contextvars.Context().run, args=(ask, number)).start()


def fastapi(loop):
    import httpx
    import uvicorn
    from fastapi import BackgroundTasks, FastAPI
    from fastapi.responses import StreamingResponse
    from openai import AsyncOpenAI, OpenAI

    app = FastAPI()
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=500), timeout=300)

    settings = {"base_url": MODEL + "/v1", "api_key": "none", "max_retries": 0, "timeout": 300}
    blocking, asynchronous = OpenAI(**settings), AsyncOpenAI(**settings)

    async def call(number):
        await client.post(MODEL + "/v1/chat/completions", json=body(number))

    @app.post("/chain/{number}")
    async def chain(number: int, later: BackgroundTasks):
        await call(number)
        await asyncio.gather(*(call(number) for _ in range(3)))
        await asyncio.to_thread(ask, number)
        later.add_task(call, number)
        return {"ok": True}

    if KIND == "fastapi-middleware":

        @app.middleware("http")
        async def middleware(request, go_on):
            await call(request.url.path.rsplit("/", 1)[1])
            return await go_on(request)

    @app.post("/openai/{number}")
    async def sdk(number: int):
        await asyncio.gather(*(asynchronous.chat.completions.create(**body(number)) for _ in "12"))
        return {"ok": True}

    @app.post("/openai-sync/{number}")
    def sdk_in_a_thread(number: int):
        blocking.chat.completions.create(**body(number))
        return {"ok": True}

    @app.post("/sync/{number}")
    def sync(number: int):
        ask(number)
        return {"ok": True}

    @app.post("/stream/{number}")
    async def stream(number: int):
        async def parts():
            for _ in range(2):
                yield b"part"
                await call(number)

        return StreamingResponse(parts())

    settings = {f"ssl_{name}": path for name, path in (TLS or {}).items()}
    settings |= {"loop": loop, "log_level": "error", "backlog": 512}
    uvicorn.run(app, host="127.0.0.1", port=PORT, **settings)


def aiohttp(uv):
    from aiohttp import ClientSession, TCPConnector, web

    async def main():
        session = ClientSession(connector=TCPConnector(limit=500))

        async def call(number):
            async with session.post(MODEL + "/v1/chat/completions", json=body(number)) as answer:
                await answer.read()

        async def chain(request):
            number = int(request.match_info["number"])
            await request.read()
            await call(number)
            await asyncio.gather(*(call(number) for _ in range(3)))
            asyncio.create_task(call(number))
            return web.json_response({"ok": True})

        app = web.Application()
        app.router.add_post("/chain/{number}", chain)
        runner = web.AppRunner(app)
        await runner.setup()
        context = tls_context() if TLS else None
        await web.TCPSite(runner, "127.0.0.1", PORT, ssl_context=context, backlog=512).start()
        await asyncio.Event().wait()

    if uv:
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())


{
    "threads": threads,
    "gunicorn-sync": lambda: gunicorn("sync"),
    "gunicorn-gthread": lambda: gunicorn("gthread"),
    "streams": streams,
    "churn": streams,
    "fastapi-asyncio": lambda: fastapi("asyncio"),
    "fastapi-middleware": lambda: fastapi("asyncio"),
    "fastapi-uvloop": lambda: fastapi("uvloop"),
    "aiohttp-asyncio": lambda: aiohttp(False),
    "aiohttp-uvloop": lambda: aiohttp(True),
}[KIND]()
