//! The cells of the matrix: who calls what, how, and how often.

mod list;

pub use list::all;

/// One cell.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The client.
    pub client: Client,
    /// What it asks for; the clients' `--api`.
    pub api: &'static str,
    /// Inside TLS.
    pub tls: bool,
    /// The answers are streams.
    pub stream: bool,
    /// Calls at once.
    pub concurrency: u32,
    /// Connections are used again.
    pub keepalive: bool,
    /// Calls in all.
    pub calls: u32,
    /// How the fake answers.
    pub script: String,
    /// When the client starts.
    pub when: When,
    /// What else is held against the spans.
    pub check: Check,
    /// The name of a special case.
    pub special: Option<&'static str>,
}

/// A client program and the library in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The script, from the folder `clients`.
    pub script: &'static str,
    /// Its `--lib`.
    pub lib: &'static str,
}

impl Client {
    /// The smallest client: it starts in a moment.
    pub const SMALL: Self = Self {
        script: "python/raw.py",
        lib: "http.client",
    };

    /// True for the clients that run on Node.
    #[must_use]
    pub fn is_node(self) -> bool {
        self.script.starts_with("node/")
    }
}

/// When a cell's client starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// After the probe.
    After,
    /// Before it, with a call made on each connection.
    Before,
    /// Before it, and the probe comes in the middle of a stream on each connection.
    Midstream,
    /// After it, beside other cells, because the cell takes long.
    Beside,
}

/// What a cell asks beside exact spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Nothing.
    None,
    /// The client's own `traceparent` is the parent.
    Traceparent,
}

/// The `traceparent` of the cells that send one.
pub const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// Its span id.
pub const PARENT_ID: &str = "00f067aa0ba902b7";

impl Cell {
    /// A cell with a real server.
    #[must_use]
    pub fn of_calls(api: &'static str, concurrency: u32, calls: u32) -> Self {
        Self::new(Client::SMALL, api)
            .script("")
            .at_once(concurrency, calls)
    }

    fn new(client: Client, api: &'static str) -> Self {
        Self {
            client,
            api,
            tls: false,
            stream: true,
            concurrency: 1,
            keepalive: true,
            calls: 20,
            script: "n5-i1".to_owned(),
            when: When::After,
            check: Check::None,
            special: None,
        }
    }

    fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    fn whole(mut self) -> Self {
        self.stream = false;
        self
    }

    fn at_once(mut self, concurrency: u32, calls: u32) -> Self {
        (self.concurrency, self.calls) = (concurrency, calls);
        self
    }

    /// No keep-alive. Node's `fetch` sends no such header, so there the server closes.
    fn closing(mut self) -> Self {
        self.keepalive = false;
        if self.client.is_node() {
            self.script.push_str("-close");
        }
        self
    }

    fn script(mut self, script: &str) -> Self {
        script.clone_into(&mut self.script);
        self
    }

    fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    fn special(mut self, name: &'static str) -> Self {
        self.special = Some(name);
        self
    }

    /// The cell in words, for the table and for `--cells`.
    #[must_use]
    pub fn name(&self) -> String {
        let runtime = if self.client.is_node() {
            "node"
        } else {
            "python"
        };
        let lib = if self.client.lib == "curl" {
            "curl"
        } else {
            self.client.lib
        };
        let client = if lib == "curl" {
            lib.to_owned()
        } else {
            format!("{runtime} {lib}")
        };
        let words = [
            if self.tls { "TLS" } else { "plain" },
            if self.stream { "stream" } else { "whole" },
            if self.keepalive {
                "keep-alive"
            } else {
                "close"
            },
        ];
        let mut name = format!(
            "{client} {} {} x{}",
            self.api,
            words.join(" "),
            self.concurrency
        );
        match self.when {
            When::Before => name.push_str(" before"),
            When::Midstream => name.push_str(" mid-stream"),
            When::After | When::Beside => {}
        }
        if let Some(special) = self.special {
            name = format!("{special}: {name}");
        }
        name
    }
}
