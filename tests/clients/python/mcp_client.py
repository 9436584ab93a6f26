"""Tool calls by the MCP SDK for Python. Each slot of concurrency has its own client."""

import asyncio
import inspect

from common import arguments, run_async

ARGS = arguments()


async def calls():
    try:
        from mcp import Client  # mcp 2: stateless
        def connect():
            return Client(ARGS.base + "/mcp")
    except ImportError:
        from contextlib import asynccontextmanager
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        @asynccontextmanager
        async def connect():
            async with streamablehttp_client(ARGS.base + "/mcp") as (read, write, _):
                async with ClientSession(read, write) as session:
                    await session.initialize()
                    yield session

    # A client's context must be left by the task that entered it, so each worker owns one.
    async with connect() as client:
        async def call(tool, seen):
            result = client.call_tool(tool, {"city": "Paris"})
            result = await result if inspect.isawaitable(result) else result
            seen()
            error = getattr(result, "is_error", None) or getattr(result, "isError", None)
            return {"status": 200, "tool_error": bool(error)}

        await run_async(ARGS, call)


asyncio.run(calls())
