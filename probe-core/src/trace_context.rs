//! W3C Trace Context: `traceparent` and `tracestate`.

/// A trace id; never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// A span id; never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

/// The context that a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span of the sender.
    pub parent: SpanId,
    /// The flags byte with unknown bits cleared (bit 0 sampled, bit 1 random).
    pub flags: u8,
    /// The `tracestate`, combined and checked; empty when there is none.
    pub state: String,
}

impl TraceContext {
    /// Whether the sender's trace is sampled.
    #[must_use]
    pub const fn sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}
