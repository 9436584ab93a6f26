//! What the fake answers, format by format. Pure: a request in, a reply out.

mod a2a;
mod anthropic;
mod mcp;
mod ollama;
mod openai;
mod responses;

use serde_json::{Value, json};

use super::log::Facts;
use super::request::Request;
use super::script::{Fault, Script};

/// A reply, not yet cut into writes.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `content-type`.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body,
    /// For the log.
    pub facts: Facts,
    /// What the request asked of us.
    pub script: Script,
}

/// The body of a reply.
pub enum Body {
    /// All at once.
    Whole(Vec<u8>),
    /// Event by event.
    Stream(Stream),
}

/// A stream, told by its parts, so that a long one takes no memory.
pub struct Stream {
    /// The lines around an event's data.
    pub framing: Framing,
    /// What comes before the text.
    pub opening: Vec<Event>,
    /// The piece of text with this number.
    pub chunk: Box<dyn Fn(u32) -> Event + Send>,
    /// How many pieces.
    pub chunks: u32,
    /// What comes after the text, usage with it.
    pub closing: Vec<Event>,
    /// The last event: the call is over with it.
    pub end_mark: Option<Event>,
    /// What is sent instead of the rest when the script wants an error.
    pub error: Event,
    /// What is sent between pieces when the script wants pings.
    pub ping: Event,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON value a line.
    Ndjson,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An event with data and maybe a name.
    Data(Option<&'static str>, String),
    /// A comment, which is no data event.
    Comment(&'static str),
}

impl Event {
    fn data(value: &Value) -> Self {
        Self::Data(None, value.to_string())
    }

    fn named(name: &'static str, value: &Value) -> Self {
        Self::Data(Some(name), value.to_string())
    }

    /// The event's bytes.
    #[must_use]
    pub fn render(&self, framing: Framing, crlf: bool) -> Vec<u8> {
        let eol = if crlf { "\r\n" } else { "\n" };
        match (self, framing) {
            (Self::Data(_, data), Framing::Ndjson) => format!("{data}{eol}"),
            (Self::Comment(_), Framing::Ndjson) => eol.to_owned(),
            (Self::Data(None, data), Framing::Sse) => format!("data: {data}{eol}{eol}"),
            (Self::Data(Some(name), data), Framing::Sse) => {
                format!("event: {name}{eol}data: {data}{eol}{eol}")
            }
            (Self::Comment(text), Framing::Sse) => format!(": {text}{eol}{eol}"),
        }
        .into_bytes()
    }
}

/// What every dialect gets.
pub(super) struct Ask<'a> {
    request: &'a Request,
    body: Value,
    model: String,
    script: Script,
    /// Counts from 1.
    call: u64,
    /// A part of all ids.
    run: &'a str,
}

/// The reply to a request.
#[must_use]
pub fn reply(request: &Request, call: u64, run: &str) -> Reply {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    let name = request.header("x-fake").unwrap_or(&model);
    let script = Script::parse(name);
    let ask = Ask {
        request,
        body,
        model,
        script,
        call,
        run,
    };
    let path = request.path.as_str();
    let post = request.method == "POST";
    if post && ask.body["jsonrpc"] == "2.0" {
        return if a2a::is_method(&ask.body) {
            a2a::reply(&ask)
        } else {
            mcp::reply(ask)
        };
    }
    match path {
        _ if post && path.ends_with("/chat/completions") => openai::chat(ask),
        _ if post && path.ends_with("/completions") => openai::completions(ask),
        _ if post && path.ends_with("/embeddings") && !path.starts_with("/api/") => {
            openai::embeddings(ask)
        }
        _ if post && path.ends_with("/responses") => responses::reply(ask),
        _ if post && path.ends_with("/messages") => anthropic::reply(ask),
        "/api/chat" | "/api/generate" | "/api/embed" | "/api/embeddings" if post => {
            ollama::reply(ask)
        }
        "/.well-known/agent-card.json" | "/.well-known/agent.json" => a2a::card(),
        "/v1/models" => plain(200, &json!({"object": "list", "data": []})),
        "/health" | "/" => plain(200, &json!({"status": "ok"})),
        _ => plain(
            404,
            &json!({"error": {"message": "no such path", "type": "not_found"}}),
        ),
    }
}

fn plain(status: u16, body: &Value) -> Reply {
    Reply {
        status,
        content_type: "application/json",
        headers: Vec::new(),
        body: Body::Whole(body.to_string().into_bytes()),
        facts: Facts::default(),
        script: Script::default(),
    }
}

impl Ask<'_> {
    fn stream(&self) -> bool {
        self.body["stream"] == true
    }

    fn id(&self, prefix: &str) -> String {
        format!("{prefix}{}{:08}", self.run, self.call)
    }

    /// Another name than the one that was asked for, so that a mix-up shows.
    fn answered(&self) -> String {
        format!("{}.answered", self.model)
    }

    /// Differs from call to call, so that a mix-up shows.
    fn input_tokens(&self) -> u64 {
        7 + self.call % 1000 + self.script.cached
    }

    fn output_tokens(&self) -> u64 {
        u64::from(self.script.chunks) + self.call % 13 + self.script.reasoning
    }

    fn text(&self) -> String {
        (0..self.script.chunks)
            .map(|n| word(n, self.script.chunk_bytes))
            .collect()
    }

    fn words(&self) -> impl Fn(u32) -> String + Send + use<> {
        let bytes = self.script.chunk_bytes;
        move |n| word(n, bytes)
    }

    /// The facts that all formats share. What a fault keeps from the wire is taken out.
    fn facts(&self, dialect: &str, finish: Vec<String>) -> Facts {
        Facts {
            dialect: dialect.to_owned(),
            asked: self.model.clone(),
            answered: Some(self.answered()),
            stream: self.stream(),
            input_tokens: Some(self.input_tokens()),
            output_tokens: Some(self.output_tokens()),
            cached_tokens: Some(self.script.cached).filter(|n| *n > 0),
            reasoning_tokens: Some(self.script.reasoning).filter(|n| *n > 0),
            finish,
            // An answer that the limit of tokens cut off is an error by the conventions we keep.
            error: self.script.length.then(|| "length".to_owned()),
            ..Facts::default()
        }
    }

    /// The facts of an error answer.
    fn failure(&self, dialect: &str, error: &str) -> Facts {
        Facts {
            dialect: dialect.to_owned(),
            asked: self.model.clone(),
            error: Some(error.to_owned()),
            ..Facts::default()
        }
    }
}

/// Takes out of the facts what a fault in mid-stream keeps from being written.
fn without_the_end(facts: &mut Facts, fault: Option<Fault>, error: &str) {
    if fault.is_none() || !facts.stream {
        return;
    }
    (facts.input_tokens, facts.output_tokens) = (None, None);
    (facts.cached_tokens, facts.reasoning_tokens) = (None, None);
    facts
        .finish
        .iter_mut()
        .for_each(|reason| "error".clone_into(reason));
    if fault == Some(Fault::Event) {
        facts.error = Some(error.to_owned());
    }
}

/// Text of a given size.
fn word(number: u32, bytes: usize) -> String {
    let mut text = format!("w{number} ");
    while text.len() < bytes {
        text.push_str("lorem ");
    }
    text.truncate(bytes.max(1));
    text
}

#[cfg(test)]
mod tests;
