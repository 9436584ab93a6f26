// Calls by the providers' own SDKs for Node.

import { args, extraHeaders, messages, run } from "./common.mjs";

const headers = extraHeaders();
delete headers.connection;
// A real server may close a kept connection just when it is used again; that call is made anew.
const maxRetries = args.model ? 3 : 0;
const options = { headers, maxRetries };

async function openai() {
  const { default: OpenAI } = await import("openai");
  const client = new OpenAI({ baseURL: `${args.base}/v1`, apiKey: "none", maxRetries });
  const stream = args.stream;
  const usage = stream ? { stream_options: { include_usage: true } } : {};
  const request = {
    chat: (model) => client.chat.completions.create({ model, messages, max_tokens: 64, stream, ...usage }, options),
    responses: (model) =>
      client.responses.create({ model, input: "Say something.", stream }, options),
    embeddings: (model) => client.embeddings.create({ model, input: "Say something." }, options),
  }[args.api];
  return async (model, seen) => {
    const facts = { status: 200 };
    const take = (value) => {
      const answer = value.response ?? value;
      if (answer.id) facts.id = answer.id;
      if (answer.model) facts.answered = answer.model;
      if (answer.usage) {
        facts.input = answer.usage.prompt_tokens ?? answer.usage.input_tokens;
        facts.output = answer.usage.completion_tokens ?? answer.usage.output_tokens;
      }
    };
    const answer = await request(model);
    if (!stream) {
      take(answer);
      return facts;
    }
    for await (const piece of answer) {
      take(piece);
      seen();
    }
    return facts;
  };
}

async function anthropic() {
  const { default: Anthropic } = await import("@anthropic-ai/sdk");
  const client = new Anthropic({ baseURL: args.base, apiKey: "none", maxRetries });
  return async (model, seen) => {
    const body = { model, messages, max_tokens: 64, stream: args.stream };
    const facts = { status: 200 };
    const take = (value) => {
      const answer = value.message ?? value;
      if (answer.id) facts.id = answer.id;
      if (answer.model) facts.answered = answer.model;
      if (answer.usage?.input_tokens != null) {
        facts.input = answer.usage.input_tokens + (answer.usage.cache_read_input_tokens ?? 0);
      }
      if (answer.usage) facts.output = answer.usage.output_tokens;
    };
    const answer = await client.messages.create(body, options);
    if (!args.stream) {
      take(answer);
      return facts;
    }
    for await (const piece of answer) {
      take(piece);
      seen();
    }
    return facts;
  };
}

async function ollama() {
  const { Ollama } = await import("ollama");
  const client = new Ollama({ host: args.base });
  return async (model, seen) => {
    const answer = await client.chat({ model, messages, stream: args.stream });
    if (!args.stream) return { status: 200, answered: answer.model };
    let last = {};
    for await (const piece of answer) {
      last = piece;
      seen();
    }
    const facts = { status: 200, answered: last.model };
    return { ...facts, input: last.prompt_eval_count, output: last.eval_count };
  };
}

async function mcp() {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = await import(
    "@modelcontextprotocol/sdk/client/streamableHttp.js"
  );
  const client = new Client({ name: "kaos-e2e", version: "1" });
  await client.connect(new StreamableHTTPClientTransport(new URL(`${args.base}/mcp`)));
  return async (name, seen) => {
    const result = await client.callTool({ name, arguments: { city: "Paris" } });
    seen();
    return { status: 200, tool_error: Boolean(result.isError) };
  };
}

await run(await { openai, anthropic, ollama, mcp }[args.lib]());
