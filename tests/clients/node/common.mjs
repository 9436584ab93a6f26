// What all Node clients share: arguments, concurrency, and one JSON line for each call.

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const flag = { type: "boolean", default: false };
export const args = parseArgs({
  options: {
    lib: { type: "string" },
    base: { type: "string" },
    api: { type: "string" },
    stream: flag,
    count: { type: "string", default: "1" },
    concurrency: { type: "string", default: "1" },
    "no-keepalive": flag,
    script: { type: "string", default: "" },
    tag: { type: "string", default: "x" },
    model: { type: "string" },
    traceparent: { type: "string" },
    hold: flag,
    "hold-script": { type: "string" },
    midstream: flag,
    linger: { type: "string", default: "0" },
  },
}).values;

export const messages = [{ role: "user", content: "Say something." }];
const concurrency = Number(args.concurrency);

export function extraHeaders() {
  const headers = {};
  if (args.traceparent) headers.traceparent = args.traceparent;
  if (args["no-keepalive"]) headers.connection = "close";
  return headers;
}

function model(number, held) {
  if (args.model) return args.model;
  const script = held && args["hold-script"] ? args["hold-script"] : args.script;
  return `fake${script ? `-${script}` : ""}-t${args.tag}${held ? "h" : "c"}${number}`;
}

function report(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function one(call, number, held, seen) {
  const asked = model(number, held);
  const line = { asked, held, pid: process.pid, start: Number(process.hrtime.bigint()) };
  try {
    Object.assign(line, await call(asked, seen));
  } catch (error) {
    line.error = error.name ?? "Error";
    line.status = error.status ?? null;
    const cause = error.cause?.cause ?? error.cause ?? "";
    line.why = `${error.message} ${cause}`.slice(0, 200);
  }
  line.end = Number(process.hrtime.bigint());
  report(line);
}

async function all(call, count, held, seen) {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const number = next++;
      let first = true;
      await one(call, number, held, () => {
        if (first) seen?.();
        first = false;
      });
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
}

// `call(model, seen)` makes one call; it calls `seen()` at the first piece of a stream.
export async function run(call) {
  if (args.hold || args.midstream) {
    let waiting = concurrency;
    await all(call, concurrency, true, () => {
      waiting -= 1;
      if (waiting === 0 && args.midstream) report({ ready: process.pid });
    });
    if (!args.midstream) report({ ready: process.pid });
    const lines = createInterface({ input: process.stdin });
    await new Promise((resolve) => lines.once("line", resolve));
    lines.close();
  }
  await all(call, Number(args.count), false);
  await new Promise((resolve) => setTimeout(resolve, 1000 * Number(args.linger)));
  // Clients with open connections would keep the process alive.
  process.exit(0);
}

// The request for a client that knows no format.
export function pathAndBody(model) {
  const stream = args.stream;
  const usage = stream ? { stream_options: { include_usage: true } } : {};
  switch (args.api) {
    case "chat":
      return ["/v1/chat/completions", { model, messages, stream, ...usage }];
    case "completions":
      return ["/v1/completions", { model, prompt: "Say something.", stream, ...usage }];
    case "responses":
      return ["/v1/responses", { model, input: "Say something.", stream }];
    case "embeddings":
      return ["/v1/embeddings", { model, input: "Say something." }];
    case "messages":
      return ["/v1/messages", { model, messages, max_tokens: 64, stream }];
    case "ollama-chat":
      return ["/api/chat", { model, messages, stream }];
    case "ollama-generate":
      return ["/api/generate", { model, prompt: "Say something.", stream }];
    case "ollama-embed":
      return ["/api/embed", { model, input: "Say something." }];
    default:
      throw new Error(`unknown api ${args.api}`);
  }
}
