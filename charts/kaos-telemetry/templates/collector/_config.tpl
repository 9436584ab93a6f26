{{/* Span attributes that hold no content: what a span is known by, and figures. Names that nobody
knows here are dropped, for somebody's next name for a prompt is among them. */}}
{{- define "kaos.kept" -}}
{{- $names := list
  "gen_ai[.](operation[.]name|provider[.]name|system|conversation[.]id|output[.]type|token[.]type)"
  "gen_ai[.]request[.](model|stream|max_tokens|temperature|top_p|top_k|frequency_penalty|presence_penalty|seed|choice[.]count|encoding_formats|reasoning[.]level|previous_response[.]id)"
  "gen_ai[.]response[.](model|id|finish_reasons|time_to_first_chunk)"
  "gen_ai[.](usage|cost)[.][a-z_.]+"
  "gen_ai[.](agent[.](name|id)|tool[.](name|type|call[.]id)|prompt[.]name|embeddings[.]dimension[.]count|data_source[.]id)"
  "openai[.](api[.]type|request[.]service_tier|response[.](service_tier|system_fingerprint))"
  "mcp[.](method[.]name|session[.]id|protocol[.]version)|jsonrpc[.]request[.]id"
  "rpc[.](system|service|method|system[.]name|response[.]status_code|grpc[.]status_code)"
  "http[.](request[.]method|response[.]status_code|route|method|status_code)"
  "url[.](full|path|scheme)"
  "(server|client|network|net|peer)[.][a-z_.]+"
  "(error|exception)[.]type"
  "user_agent[.]original"
  "telemetry[.]kaos[.][a-z0-9_.]+"
  "kaos[.](resource[.]name|session_id|run_id|turn_number|tokens_used|cost_usd|tool_call_count|error_type|tool_name|call_id|step_id|duration_ms|is_error|confidence)"
  "agent[.](name|delegation[.]target)|session[.]id|task[.](id|state)"
  "autonomous[.](task_id|session_id|is_autonomous|iteration|max_(iterations|runtime_seconds|iter_runtime_seconds|tool_calls))"
  "k8s[.][a-z_.]+|container[.]id|thread[.](id|name)|code[.](function|file|line)[a-z_.]*"
-}}
{{- printf "^(%s)$$" (join "|" (concat $names .Values.collector.keepAttributes)) -}}
{{- end -}}

{{/* Attributes that are content by the conventions. */}}
{{- define "kaos.content" -}}
{{- toYaml (list "gen_ai.system_instructions" "gen_ai.input.messages" "gen_ai.output.messages" "gen_ai.tool.definitions" "gen_ai.tool.call.arguments" "gen_ai.tool.call.result") -}}
{{- end -}}

{{/* The processor that drops or hashes content. A digest is made under another name, and takes the
content's only once that is gone: an attribute that came twice is two, and only the first would be
overwritten. */}}
{{- define "kaos.strip" -}}
{{- $span := list -}}
{{- $digests := list -}}
{{- if eq .Values.collector.content "hash" -}}
{{- $clear := "delete_matching_keys(span.attributes, \"^telemetry[.]kaos[.]digest[.]\")" -}}
{{- $span = append $span $clear -}}
{{- range include "kaos.content" . | fromYamlArray -}}
{{- $digest := printf "telemetry.kaos.digest.%s" . -}}
{{- $span = append $span (printf "set(span.attributes[%q], SHA256(span.attributes[%q])) where IsString(span.attributes[%q])" $digest . .) -}}
{{- $digests = append $digests (printf "set(span.attributes[%q], span.attributes[%q]) where span.attributes[%q] != nil" . $digest $digest) -}}
{{- end -}}
{{- $digests = append $digests $clear -}}
{{- end -}}
{{- $span = append $span (printf "keep_matching_keys(span.attributes, %q)" (include "kaos.kept" .)) -}}
{{- $span = concat $span $digests -}}
{{- $span = append $span "replace_pattern(span.attributes[\"url.full\"], \"[?#].*\", \"\")" -}}
{{- $span = append $span "set(span.status.message, \"\")" -}}
{{- $event := list "keep_keys(spanevent.attributes, [\"exception.type\"])" -}}
{{- $resource := list "delete_matching_keys(resource.attributes, \"^process[.]command\")" -}}
error_mode: propagate
trace_statements:
  - context: span
    error_mode: propagate
    statements:
      {{- toYaml $span | nindent 6 }}
  - context: spanevent
    error_mode: propagate
    statements:
      {{- toYaml $event | nindent 6 }}
  - context: resource
    error_mode: propagate
    statements:
      {{- toYaml $resource | nindent 6 }}
metric_statements:
  - context: resource
    error_mode: propagate
    statements:
      {{- toYaml $resource | nindent 6 }}
{{- end -}}

{{/* The exporter of `backend`. */}}
{{- define "kaos.backend" -}}
{{- with .Values.backend -}}
endpoint: {{ .endpoint }}
{{- if eq .protocol "grpc" }}
tls:
  insecure: {{ hasPrefix "http://" .endpoint }}
{{- end }}
{{- with .headers }}
headers:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* The names of a pipeline's exporters, in the collector's terms; takes (list $ NAMES). */}}
{{- define "kaos.exporters" -}}
{{- $root := index . 0 -}}
{{- $backend := "nop" -}}
{{- if $root.Values.backend.endpoint -}}
{{- $backend = eq $root.Values.backend.protocol "grpc" | ternary "otlp/backend" "otlphttp/backend" -}}
{{- end -}}
{{- $names := list -}}
{{- range index . 1 -}}
{{- if and (ne . "backend") (not (hasKey $root.Values.collector.exporters .)) -}}
{{- fail (printf "collector.pipelines: there is no exporter %q in collector.exporters" .) -}}
{{- end -}}
{{- $names = append $names (eq . "backend" | ternary $backend .) -}}
{{- end -}}
{{- toYaml ($names | default (list "nop")) -}}
{{- end -}}

{{/* The whole configuration. */}}
{{- define "kaos.collector" -}}
{{- $collector := .Values.collector -}}
{{- $exporters := dict "nop" dict -}}
{{- if .Values.backend.endpoint -}}
{{- $name := eq .Values.backend.protocol "grpc" | ternary "otlp/backend" "otlphttp/backend" -}}
{{- $exporters = set $exporters $name (include "kaos.backend" . | fromYaml) -}}
{{- end -}}
{{- $exporters = merge (deepCopy $collector.exporters) $exporters -}}
{{- $processors := dict "memory_limiter" (dict "check_interval" "1s" "limit_percentage" 80 "spike_limit_percentage" 20) "batch" dict -}}
{{- $steps := list "memory_limiter" -}}
{{- if ne $collector.content "keep" -}}
{{- $processors = set $processors "transform/content" (include "kaos.strip" . | fromYaml) -}}
{{- $steps = append $steps "transform/content" -}}
{{- end -}}
{{- range $name, $processor := $collector.processors -}}
{{- $processors = set $processors $name $processor -}}
{{- $steps = append $steps $name -}}
{{- end -}}
{{- $steps = append $steps "batch" -}}
{{- $pipelines := dict -}}
{{- range $signal, $names := $collector.pipelines -}}
{{- $to := include "kaos.exporters" (list $ $names) | fromYamlArray -}}
{{- $pipelines = set $pipelines $signal (dict "receivers" (list "otlp") "processors" $steps "exporters" $to) -}}
{{- end -}}
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 0.0.0.0:4317
      http:
        endpoint: 0.0.0.0:4318
processors:
  {{- toYaml $processors | nindent 2 }}
exporters:
  {{- toYaml $exporters | nindent 2 }}
extensions:
  health_check:
    endpoint: 0.0.0.0:13133
service:
  extensions: [health_check]
  telemetry:
    metrics:
      readers:
        - pull:
            exporter:
              prometheus:
                host: 0.0.0.0
                port: 8888
  pipelines:
    {{- toYaml $pipelines | nindent 4 }}
{{- end -}}
