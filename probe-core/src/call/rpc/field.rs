//! What a value of a message means.

use crate::json::Take;

/// A row of a protocol's table.
pub(in crate::call) type Row = (&'static str, Field, Take);

/// What a value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Field {
    /// A message begins and ends.
    Message,
    Version,
    Method,
    Id,
    Result,
    Error,
    ErrorCode,
    /// The result says that the tool failed.
    IsError,
    /// The tool or prompt.
    Name,
    Uri,
    ProtocolVersion,
    TraceParent,
    TraceState,
    Arguments,
    ResultContent,
    TaskId,
    ContextId,
    State,
    /// No more messages follow in the stream.
    Final,
    /// The request brings a message for an agent.
    Parts,
    InputText,
    OutputText,
}

/// The envelope of JSON-RPC 2.0.
pub(in crate::call) const ENVELOPE: &[Row] = &[
    ("", Field::Message, Take::Probe),
    ("jsonrpc", Field::Version, Take::Value),
    ("method", Field::Method, Take::Value),
    ("id", Field::Id, Take::Value),
    ("result", Field::Result, Take::Probe),
    ("error", Field::Error, Take::Probe),
    ("error code", Field::ErrorCode, Take::Value),
];
