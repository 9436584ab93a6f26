//! What a value of a request or an answer means, whatever its format calls it.

use crate::call::Format;

/// What a value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Field {
    // Requests.
    /// The requested model.
    Model,
    /// The request asks for a stream.
    Stream,
    MaxTokens,
    Temperature,
    TopP,
    TopK,
    FrequencyPenalty,
    PresencePenalty,
    Seed,
    ChoiceCount,
    /// A stop sequence, or the list's element.
    Stop,
    /// The output's type by name; Ollama's `format` may be a JSON schema.
    OutputType,
    /// An element of `modalities`.
    Modality,
    ReasoningLevel,
    PreviousResponse,
    Conversation,
    RequestTier,
    Encoding,
    Dimensions,
    /// An offered tool.
    OfferedTool,
    /// The id of a tool call that a message answers.
    Answered,
    /// The type of an input item.
    MessageKind,
    /// The session that the caller names.
    Session,
    /// The value's presence tells the kind of request.
    Mark(Mark),
    // Content of requests, opted in.
    /// System instructions.
    System,
    /// A message begins and ends.
    Message,
    MessageRole,
    /// The text of a message, or a part of it.
    MessageText,
    /// A tool call in a message begins and ends.
    MessageCall,
    MessageCallId,
    MessageCallName,
    MessageCallArguments,
    /// The result that a tool message brings.
    MessageResult,
    // Answers.
    /// Only this format has such a value.
    Format(Format),
    /// The type of an answer or event.
    Kind,
    Id,
    ResponseModel,
    Fingerprint,
    ResponseTier,
    /// A choice begins and ends.
    Choice,
    ChoiceIndex,
    Finish,
    /// The status of a response of the Responses API.
    Status,
    IncompleteReason,
    /// Text of the answer.
    Output,
    /// Thoughts of the answer.
    Reasoning,
    /// Output of another kind.
    OtherOutput,
    /// A tool call begins and ends.
    Tool,
    ToolIndex,
    ToolId,
    ToolName,
    ToolKind,
    ToolArguments,
    InputTokens,
    OutputTokens,
    CacheRead,
    CacheWrite,
    ReasoningTokens,
    /// Tokens by llama.cpp's clockwork, for answers without usage.
    TimedInput,
    TimedCached,
    TimedOutput,
    /// An error object or text.
    Error,
    ErrorCode,
    ErrorType,
    /// The code of an answer that is an error itself.
    OwnErrorCode,
    OwnErrorType,
    /// `true` in a stream's last value.
    Done,
}

/// A value that tells the kind of request by being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::call) enum Mark {
    Model,
    Messages,
    Prompt,
    Input,
    Previous,
    Infill,
}

impl Mark {
    /// The mark as a bit.
    pub(in crate::call) const fn bit(self) -> u8 {
        1 << self as u8
    }
}
