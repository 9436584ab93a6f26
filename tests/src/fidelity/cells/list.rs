//! The cells themselves.

use super::{Cell, Check, Client, When};

const fn raw(lib: &'static str) -> Client {
    Client {
        script: "python/raw.py",
        lib,
    }
}

const fn sdk(lib: &'static str) -> Client {
    Client {
        script: "python/sdk.py",
        lib,
    }
}

const fn node(lib: &'static str) -> Client {
    Client {
        script: "node/raw.mjs",
        lib,
    }
}

const fn node_sdk(lib: &'static str) -> Client {
    Client {
        script: "node/sdk.mjs",
        lib,
    }
}

const CURL: Client = Client {
    script: "python/curl.py",
    lib: "curl",
};
const MCP: Client = Client {
    script: "python/mcp_client.py",
    lib: "mcp",
};

/// All cells; `quick` takes one of each kind.
#[must_use]
pub fn all(quick: bool) -> Vec<Cell> {
    let mut cells = specials();
    cells.extend(before());
    if quick {
        cells.extend(quick_cells());
    } else {
        cells.extend(sdks());
        cells.extend(libraries());
        cells.extend(node_cells());
        cells.extend(protocols());
        cells.extend(crowds());
        cells.extend(odd_wires());
    }
    cells
}

fn quick_cells() -> Vec<Cell> {
    let mut cells = vec![
        Cell::new(sdk("openai-async"), "chat")
            .tls()
            .at_once(20, 100),
        Cell::new(sdk("anthropic"), "messages").tls().whole(),
        Cell::new(raw("aiohttp"), "ollama-chat").at_once(200, 400),
        Cell::new(raw("httpx2-async"), "responses")
            .tls()
            .at_once(200, 400),
        Cell::new(node_sdk("openai"), "chat").tls().at_once(20, 100),
        Cell::new(node("fetch"), "messages").at_once(20, 100),
        Cell::new(CURL, "chat").tls().closing(),
        Cell::new(MCP, "mcp").whole(),
    ];
    cells.extend(odd_wires().into_iter().filter(|cell| !cell.tls));
    cells
}

/// The providers' Python SDKs.
fn sdks() -> Vec<Cell> {
    let mut cells = Vec::new();
    let clients = [
        ("openai", "chat"),
        ("openai-async", "chat"),
        ("anthropic", "messages"),
        ("anthropic-async", "messages"),
        ("ollama", "ollama-chat"),
        ("ollama-async", "ollama-generate"),
    ];
    for (lib, api) in clients {
        cells.push(Cell::new(sdk(lib), api).at_once(20, 200));
        cells.push(Cell::new(sdk(lib), api).tls().at_once(20, 200));
        cells.push(Cell::new(sdk(lib), api).tls().whole().closing());
    }
    for api in ["completions", "responses"] {
        cells.push(Cell::new(sdk("openai-async"), api).tls().at_once(20, 200));
        cells.push(Cell::new(sdk("openai"), api).whole());
    }
    cells.push(Cell::new(sdk("openai"), "embeddings").whole().tls());
    cells.push(Cell::new(sdk("ollama"), "ollama-embed").whole());
    cells
}

/// HTTP libraries for Python, and curl.
fn libraries() -> Vec<Cell> {
    let mut cells = Vec::new();
    let apis = [
        "chat",
        "messages",
        "responses",
        "ollama-chat",
        "completions",
    ];
    let libraries = [
        "requests",
        "http.client",
        "httpx",
        "httpx-async",
        "httpx2",
        "httpx2-async",
        "aiohttp",
    ];
    for (number, lib) in libraries.into_iter().enumerate() {
        let api = apis[number % apis.len()];
        cells.push(Cell::new(raw(lib), api).at_once(20, 200));
        cells.push(
            Cell::new(raw(lib), api)
                .tls()
                .whole()
                .at_once(20, 200)
                .closing(),
        );
    }
    cells.push(Cell::new(raw("http.client"), "chat").tls());
    cells.push(Cell::new(raw("http.client"), "chat").whole().closing());
    cells.push(Cell::new(CURL, "chat").closing());
    cells.push(Cell::new(CURL, "messages").tls().at_once(4, 100));
    cells.push(Cell::new(CURL, "responses").tls().whole().closing());
    cells
}

fn node_cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    let clients = [
        (node("fetch"), "chat"),
        (node("undici"), "messages"),
        (node("http"), "ollama-chat"),
        (node_sdk("openai"), "chat"),
        (node_sdk("openai"), "responses"),
        (node_sdk("anthropic"), "messages"),
        (node_sdk("ollama"), "ollama-chat"),
    ];
    for (client, api) in clients {
        cells.push(Cell::new(client, api).at_once(20, 200));
        cells.push(Cell::new(client, api).tls().at_once(20, 200));
    }
    cells.push(Cell::new(node("fetch"), "chat").tls().closing());
    cells.push(Cell::new(node("http"), "chat").whole().closing());
    cells.push(Cell::new(node_sdk("openai"), "embeddings").whole().tls());
    cells
}

/// MCP and A2A.
fn protocols() -> Vec<Cell> {
    vec![
        Cell::new(MCP, "mcp").whole().script("").at_once(20, 100),
        Cell::new(MCP, "mcp").whole().script("").tls(),
        Cell::new(node_sdk("mcp"), "mcp")
            .script("")
            .at_once(20, 100),
        Cell::new(node_sdk("mcp"), "mcp").script("").tls(),
        Cell::new(raw("httpx2"), "mcp").script("toolerr-sse").tls(),
        Cell::new(raw("http.client"), "a2a").whole().script(""),
        Cell::new(raw("httpx"), "a2a").whole().script("").tls(),
        Cell::new(raw("http.client"), "a2a")
            .whole()
            .script("rpcerr"),
    ]
}

/// 200 calls at once.
fn crowds() -> Vec<Cell> {
    vec![
        Cell::new(sdk("openai-async"), "chat").at_once(200, 600),
        Cell::new(sdk("openai-async"), "chat")
            .tls()
            .at_once(200, 600),
        Cell::new(sdk("anthropic-async"), "messages")
            .tls()
            .at_once(200, 400),
        Cell::new(raw("aiohttp"), "chat").tls().at_once(200, 600),
        Cell::new(raw("aiohttp"), "ollama-chat").at_once(200, 600),
        Cell::new(raw("httpx2-async"), "responses")
            .tls()
            .at_once(200, 600),
        Cell::new(raw("requests"), "messages").at_once(200, 400),
        Cell::new(raw("http.client"), "chat")
            .tls()
            .at_once(200, 600),
        Cell::new(node("fetch"), "messages").at_once(200, 600),
        Cell::new(node("fetch"), "chat").tls().at_once(200, 600),
        Cell::new(node_sdk("openai"), "responses")
            .tls()
            .at_once(200, 600),
    ]
}

/// Wires that are odd but legal, and calls that go wrong. One small client sees them all.
fn odd_wires() -> Vec<Cell> {
    let scripts = [
        ("n5-w1", "chat"),
        ("n5-o7", "messages"),
        ("n20-j4-crlf", "chat"),
        ("n10-ping", "chat"),
        ("n10-ping-crlf", "messages"),
        ("n5-gzip", "chat"),
        ("n5-deflate", "responses"),
        ("n5-br", "messages"),
        ("n5-zstd", "ollama-chat"),
        ("n5-close", "chat"),
        ("n5-hdr60", "chat"),
        ("n5-z300", "chat"),
        ("n5-s2x400", "responses"),
        ("n5-e429", "chat"),
        ("n5-e529", "messages"),
        ("n5-e500", "ollama-generate"),
        ("n6-ee-i2", "chat"),
        ("n6-ee-i2", "messages"),
        ("n6-ee-i2", "responses"),
        ("n6-cut-i2", "chat"),
        ("n6-rst-i2", "messages"),
        ("n5-len", "chat"),
        ("n5-tool", "messages"),
        ("n5-tool", "chat"),
        ("n5-cached40-reason9", "chat"),
        ("n5-cached40", "messages"),
        ("n5-nousage", "chat"),
    ];
    let cell = |tls: bool| {
        move |(script, api): (&str, &'static str)| {
            let mut cell = Cell::new(raw("http.client"), api)
                .script(script)
                .at_once(1, 5);
            cell.tls = tls;
            cell
        }
    };
    // http.client takes 103 for the answer, so another client has to be shown it.
    let hints = Cell::new(raw("httpx2"), "completions")
        .script("n5-hints")
        .at_once(1, 5);
    let plain = scripts.into_iter().map(cell(false)).chain([hints]);
    plain
        .chain(scripts.into_iter().step_by(3).map(cell(true)))
        .collect()
}

/// Clients that run before the probe does.
fn before() -> Vec<Cell> {
    let before = |client, api| Cell::new(client, api).when(When::Before).at_once(5, 50);
    let half = |client, api| {
        Cell::new(client, api)
            .when(When::Midstream)
            .at_once(5, 25)
            .special("late_join")
    };
    vec![
        before(sdk("openai"), "chat"),
        before(sdk("openai-async"), "chat").tls(),
        before(raw("requests"), "messages").tls().whole(),
        before(raw("aiohttp"), "ollama-chat").tls().at_once(20, 100),
        before(node("fetch"), "chat"),
        before(node_sdk("openai"), "responses").tls(),
        half(raw("http.client"), "chat"),
        half(raw("httpx2-async"), "messages").tls(),
        half(node("fetch"), "chat"),
        half(node("http"), "ollama-chat").tls(),
    ]
}

/// The cases that have a name in the specification.
fn specials() -> Vec<Cell> {
    let silent = |client| {
        Cell::new(client, "chat")
            .script("n5-d15000")
            .at_once(1, 1)
            .when(When::Beside)
    };
    let big = |client, api| Cell::new(client, api).script("n3000-b1700").at_once(1, 2);
    let traced = |client: Client| {
        let mut cell = Cell::new(client, "chat")
            .at_once(1, 5)
            .special("own_traceparent");
        cell.check = Check::Traceparent;
        cell
    };
    vec![
        silent(raw("http.client")).special("silent15s"),
        silent(raw("aiohttp")).tls().special("silent15s"),
        big(raw("http.client"), "chat").special("big5mb"),
        big(raw("httpx2-async"), "messages").tls().special("big5mb"),
        Cell::new(raw("http.client"), "chat")
            .at_once(2, 6)
            .special("keepalive_open"),
        Cell::new(raw("aiohttp"), "chat")
            .tls()
            .at_once(2, 6)
            .special("keepalive_open"),
        Cell::new(raw("http.client"), "mcp")
            .script("rpcerr-sse")
            .special("mcp_sse_error"),
        Cell::new(raw("httpx2"), "mcp")
            .tls()
            .script("rpcerr-sse")
            .special("mcp_sse_error"),
        traced(raw("http.client")),
        traced(raw("httpx2-async")).tls(),
        Cell::new(raw("http.client"), "chat")
            .script("n5-nohdr")
            .special("no_openai_headers"),
        Cell::new(raw("aiohttp"), "chat")
            .tls()
            .script("n5-nohdr")
            .special("no_openai_headers"),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_matrix_is_as_large_as_it_must_be() {
        let cells = all(false);
        let sum: u32 = cells.iter().map(|cell| cell.calls).sum();
        assert!(
            cells.len() >= 60 && sum >= 10_000,
            "{} cells, {sum} calls",
            cells.len()
        );
        for at_once in [1, 20, 200] {
            assert!(
                cells
                    .iter()
                    .any(|cell| cell.concurrency == at_once && cell.tls)
            );
        }
    }

    #[test]
    fn no_two_cells_are_the_same() {
        let cells = all(false);
        let names: BTreeSet<_> = cells.iter().map(|c| (c.name(), c.script.clone())).collect();
        assert_eq!(names.len(), cells.len());
    }
}
