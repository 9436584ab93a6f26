// A server that asks a model twice for each request: served.js node PORT MODEL_URL, as served.py.
const http = require("node:http");
const [, , , port, model] = process.argv;

async function ask(number) {
  const body = JSON.stringify({
    model: "m",
    messages: [{ role: "user", content: `number=${number}` }],
  });
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${model}/v1/chat/completions`, { method: "POST", headers, body });
  await answer.text();
}

http
  .createServer(async (request, response) => {
    for await (const _ of request);
    const number = request.url.split("/").pop();
    await ask(number);
    await ask(number);
    response.end("ok");
  })
  .listen(Number(port), "127.0.0.1", 512);
