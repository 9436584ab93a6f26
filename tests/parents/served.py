"""Servers that ask a model for each request, for the test of parents inside a process.

Usage: served.py KIND PORT MODEL_URL. Each request's path ends with its number, and each call that
it makes carries that number in its body: the judge reads it, the probe does not.
"""

import asyncio
import json
import sys
import urllib.request

KIND, PORT, MODEL = sys.argv[1], int(sys.argv[2]), sys.argv[3]


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

    Server(("127.0.0.1", PORT), Handler).serve_forever()


def fastapi(loop):
    import httpx
    import uvicorn
    from fastapi import BackgroundTasks, FastAPI
    from fastapi.responses import StreamingResponse

    app = FastAPI()
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=500), timeout=300)

    async def call(number):
        await client.post(MODEL + "/v1/chat/completions", json=body(number))

    @app.post("/chain/{number}")
    async def chain(number: int, later: BackgroundTasks):
        await call(number)
        await asyncio.gather(*(call(number) for _ in range(3)))
        await asyncio.to_thread(ask, number)
        later.add_task(call, number)
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

    uvicorn.run(app, host="127.0.0.1", port=PORT, loop=loop, log_level="error", backlog=512)


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
        await web.TCPSite(runner, "127.0.0.1", PORT, backlog=512).start()
        await asyncio.Event().wait()

    if uv:
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())


{
    "threads": threads,
    "fastapi-asyncio": lambda: fastapi("asyncio"),
    "fastapi-uvloop": lambda: fastapi("uvloop"),
    "aiohttp-asyncio": lambda: aiohttp(False),
    "aiohttp-uvloop": lambda: aiohttp(True),
}[KIND]()
