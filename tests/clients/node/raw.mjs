// Calls by Node's own fetch, by its http module, and by undici.

import http from "node:http";
import https from "node:https";

import { args, extraHeaders, pathAndBody, run } from "./common.mjs";

const headers = { "content-type": "application/json", ...extraHeaders() };

async function byFetch(model, seen, fetcher, options = {}) {
  const [path, body] = pathAndBody(model);
  const init = { method: "POST", headers, body: JSON.stringify(body), ...options };
  const answer = await fetcher(args.base + path, init);
  for await (const piece of answer.body) if (piece.length > 0) seen();
  return { status: answer.status };
}

function byHttp(agent, module) {
  return (model, seen) =>
    new Promise((resolve, reject) => {
      const [path, body] = pathAndBody(model);
      const request = module.request(args.base + path, { method: "POST", headers, agent });
      request.on("error", reject);
      request.on("response", (answer) => {
        answer.on("data", seen);
        answer.on("error", reject);
        answer.on("end", () => resolve({ status: answer.statusCode }));
      });
      request.end(JSON.stringify(body));
    });
}

switch (args.lib) {
  case "fetch": {
    // fetch refuses to let callers set this header; the fake is asked to close instead.
    delete headers.connection;
    await run((model, seen) => byFetch(model, seen, fetch));
    break;
  }
  case "undici": {
    delete headers.connection;
    const undici = await import("undici");
    const pipelining = args["no-keepalive"] ? 0 : 1;
    const dispatcher = new undici.Agent({ connections: Number(args.concurrency), pipelining });
    await run((model, seen) => byFetch(model, seen, undici.fetch, { dispatcher }));
    break;
  }
  case "http": {
    const module = args.base.startsWith("https:") ? https : http;
    const keepAlive = !args["no-keepalive"];
    const maxSockets = Number(args.concurrency);
    await run(byHttp(new module.Agent({ keepAlive, maxSockets }), module));
    break;
  }
  default:
    throw new Error(`unknown library ${args.lib}`);
}
