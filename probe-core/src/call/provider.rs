//! `gen_ai.provider.name`: by the host, then the path, then the format.

use super::Format;

/// Hosts, or domains when they begin with a dot, and whose they are.
const HOSTS: &[(&str, &str)] = &[
    ("api.openai.com", "openai"),
    ("api.anthropic.com", "anthropic"),
    (".openai.azure.com", "azure.ai.openai"),
    (".cognitiveservices.azure.com", "azure.ai.openai"),
    (".services.ai.azure.com", "azure.ai.inference"),
    (".models.ai.azure.com", "azure.ai.inference"),
    ("models.inference.ai.azure.com", "azure.ai.inference"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("-aiplatform.googleapis.com", "gcp.vertex_ai"),
    (".amazonaws.com", "aws.bedrock"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.deepseek.com", "deepseek"),
    ("api.groq.com", "groq"),
    (".ml.cloud.ibm.com", "ibm.watsonx.ai"),
    ("api.mistral.ai", "mistral_ai"),
    ("codestral.mistral.ai", "mistral_ai"),
    ("api.moonshot.ai", "moonshot_ai"),
    ("api.moonshot.cn", "moonshot_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.x.ai", "x_ai"),
    ("openrouter.ai", "openrouter"),
    ("api.together.xyz", "together_ai"),
    ("api.together.ai", "together_ai"),
    ("api.fireworks.ai", "fireworks"),
    ("api.replicate.com", "replicate"),
    ("router.huggingface.co", "hugging_face"),
    (".huggingface.cloud", "hugging_face"),
    ("ollama.com", "ollama"),
];

/// Parts of a path, and whose they are.
const PATHS: &[(&str, &str)] = &[
    ("/openai/deployments/", "azure.ai.openai"),
    ("/publishers/anthropic/", "gcp.vertex_ai"),
];

/// The provider of a call in `format` to `path` at `host`.
pub(super) fn name(host: Option<&str>, path: &str, format: Format) -> &'static str {
    let host = host.unwrap_or_default().trim_end_matches('.');
    let of_host = HOSTS.iter().find(|(name, _)| {
        let tail = host.len().saturating_sub(name.len());
        let same = host
            .get(tail..)
            .is_some_and(|t| t.eq_ignore_ascii_case(name));
        same && (tail == 0 || name.starts_with(['.', '-']))
    });
    let of_path = || PATHS.iter().find(|(part, _)| path.contains(part));
    match of_host.or_else(of_path) {
        // The platform serves models in their makers' formats on the same host.
        Some((_, "azure.ai.inference")) if path.contains("/openai/") => "azure.ai.openai",
        Some((_, provider)) => provider,
        None => of_format(format),
    }
}

const fn of_format(format: Format) -> &'static str {
    match format {
        Format::OpenAiChat
        | Format::OpenAiCompletions
        | Format::OpenAiResponses
        | Format::OpenAiEmbeddings => "openai",
        Format::Anthropic => "anthropic",
        Format::Ollama => "ollama",
        Format::LlamaCpp => "llama_cpp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_counts_before_the_path_and_the_path_before_the_format() {
        let chat = Format::OpenAiChat;
        let of = |host: &str, path: &str, format| name(Some(host), path, format);
        assert_eq!(
            of("API.Groq.com", "/openai/v1/chat/completions", chat),
            "groq"
        );
        assert_eq!(
            of("x.openai.azure.com", "/openai/v1/chat/completions", chat),
            "azure.ai.openai"
        );
        assert_eq!(
            of("x.services.ai.azure.com", "/models/chat/completions", chat),
            "azure.ai.inference"
        );
        assert_eq!(
            of("x.services.ai.azure.com", "/openai/v1/responses", chat),
            "azure.ai.openai"
        );
        assert_eq!(
            of("gw", "/openai/deployments/d/chat/completions", chat),
            "azure.ai.openai"
        );
        assert_eq!(
            of("evilapi.openai.com.example", "/x", Format::Ollama),
            "ollama"
        );
        assert_eq!(of("notapi.groq.com", "/x", chat), "openai");
        assert_eq!(
            of("us-aiplatform.googleapis.com", "/x", chat),
            "gcp.vertex_ai"
        );
        assert_eq!(name(None, "/v1/messages", Format::Anthropic), "anthropic");
    }
}
