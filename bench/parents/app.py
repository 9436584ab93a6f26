"""An agent on FastAPI that answers at once: a few tasks for each request, no calls.

Usage: app.py PORT
"""

import asyncio
import sys

import uvicorn
from fastapi import FastAPI, Request

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "bench",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}

app = FastAPI()


async def step():
    await asyncio.sleep(0)


@app.post("/v1/chat/completions")
async def answer(request: Request):
    await request.json()
    await asyncio.gather(*(step() for _ in range(5)))
    return ANSWER


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", backlog=512)
