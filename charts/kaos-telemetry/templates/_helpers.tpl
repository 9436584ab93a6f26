{{/* Names are fixed: a webhook configuration is the cluster's, so there is one installation. */}}

{{/* Labels of an object; takes (list $ NAME). */}}
{{- define "kaos.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: kaos-telemetry
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Name and labels; takes (list $ NAME). For objects of the namespace. */}}
{{- define "kaos.metadata" -}}
name: {{ index . 1 }}
namespace: {{ (index . 0).Release.Namespace }}
labels:
  {{- include "kaos.labels" . | nindent 2 }}
{{- end -}}

{{/* An image's reference; takes (list $ IMAGE). */}}
{{- define "kaos.image" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ printf "%s@%s" $image.repository $image.digest }}
{{- else -}}
{{ printf "%s:%s" $image.repository ($image.tag | default (index . 0).Chart.AppVersion) }}
{{- end -}}
{{- end -}}

{{/* What all pods of the chart have in their spec; takes (list $ COMPONENT-VALUES). */}}
{{- define "kaos.pod" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $root.Values.priorityClass.enabled }}
priorityClassName: kaos-telemetry
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A container that needs nothing of its node. */}}
{{- define "kaos.unprivileged" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Where everybody sends to, by OTLP over gRPC. The host has a dot: without one it would be
another Service in each namespace. */}}
{{- define "kaos.endpoint" -}}
{{- if .Values.collector.enabled -}}
http://kaos-collector.{{ .Release.Namespace }}.svc:4317
{{- else -}}
{{- required "collector.endpoint: say where to send to, since collector.enabled is false" .Values.collector.endpoint -}}
{{- end -}}
{{- end -}}

{{/* "true" if what is sent there loses its content. Of logs nobody can tell what they hold. */}}
{{- define "kaos.dropsContent" -}}
{{- if .Values.collector.enabled -}}
{{- and (ne .Values.collector.content "keep") (not .Values.collector.pipelines.logs) -}}
{{- else -}}
{{- .Values.collector.dropsContent -}}
{{- end -}}
{{- end -}}
