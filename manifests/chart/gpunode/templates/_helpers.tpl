{{/* Names are fixed: two installations on one cluster would describe the same nodes, and wait for each other. */}}

{{- define "gpunode.labels" -}}
app.kubernetes.io/part-of: gpunode
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "gpunode.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "gpunode.labels" .root | nindent 2 }}
{{- end }}

{{/* For what belongs to no namespace. */}}
{{- define "gpunode.clusterMetadata" -}}
name: {{ .name }}
labels:
  {{- include "gpunode.labels" .root | nindent 2 }}
{{- end }}

{{/* The accounts that run, as JSON: those of three agents, or one. */}}
{{- define "gpunode.accounts" -}}
{{- $on := list }}
{{- if .Values.cleanup.enabled }}
{{- else if .Values.singleProcess.enabled }}
{{- $on = list "gpunode" }}
{{- else }}
{{- if .Values.nfd.enabled }}{{ $on = append $on "nfd-lite" }}{{ end }}
{{- if .Values.gfd.enabled }}{{ $on = append $on "gfd" }}{{ end }}
{{- if .Values.devicePlugin.enabled }}{{ $on = append $on "gpu-device-plugin" }}{{ end }}
{{- end }}
{{- toJson $on }}
{{- end }}

{{/* The subjects of a binding for these agents, those that run. */}}
{{- define "gpunode.subjects" -}}
{{- $accounts := include "gpunode.accounts" .root | fromJsonArray }}
{{- $wanted := .root.Values.singleProcess.enabled | ternary (list "gpunode") .agents }}
{{- range $wanted }}
{{- if has . $accounts }}
- kind: ServiceAccount
  name: {{ . }}
  namespace: {{ $.root.Release.Namespace }}
{{- end }}
{{- end }}
{{- end }}

{{/* Flags of pairs of name and value; what is null, empty or an empty list is left to the program. */}}
{{- define "gpunode.flags" -}}
{{- range . }}
{{- $flag := index . 0 }}
{{- $value := index . 1 }}
{{- if kindIs "slice" $value }}
{{- with $value }}
- --{{ $flag }}={{ join "," . }}
{{- end }}
{{- else if not (or (kindIs "invalid" $value) (eq (toString $value) "")) }}
- --{{ $flag }}={{ $value }}
{{- end }}
{{- end }}
{{- end }}

{{- define "gpunode.args.common" -}}
- --host-root=/host
{{- include "gpunode.flags" (list (list "simulate" .Values.simulate) (list "log-level" .Values.logLevel)) }}
{{- if .Values.metrics.tlsSecret }}
- --tls-cert-file=/etc/gpunode/tls/tls.crt
- --tls-private-key-file=/etc/gpunode/tls/tls.key
{{- if .Values.metrics.auth }}
- --metrics-auth=true
{{- end }}
{{- end }}
{{- end }}

{{- define "gpunode.args.publish" -}}
{{- include "gpunode.flags" (list (list "publish" (eq .Values.publish "node" | ternary "" .Values.publish))) }}
{{- end }}

{{- define "gpunode.args.nfd" -}}
{{- include "gpunode.flags" (list
  (list "config" (empty .Values.nfd.config | ternary "" "/etc/gpunode/nfd-worker/nfd-worker.conf"))
  (list "enable-taints" .Values.nfd.enableTaints)
  (list "extra-label-ns" .Values.nfd.extraLabelNs)
  (list "deny-label-ns" .Values.nfd.denyLabelNs)
  (list "merge-node-features" .Values.nfd.mergeNodeFeatures)) }}
{{- end }}

{{/* Of gfd and gpu-device-plugin. */}}
{{- define "gpunode.args.nvidia" -}}
{{- include "gpunode.flags" (list
  (list "mig-strategy" .Values.migStrategy)
  (list "device-discovery-strategy" .Values.deviceDiscoveryStrategy)) }}
{{- if or .Values.config.map .Values.config.name }}
- --config-dir=/etc/gpunode/configs
{{- include "gpunode.flags" (list
  (list "default-config" .Values.config.default)
  (list "fallback-strategies" .Values.config.fallbackStrategies)) }}
{{- end }}
{{- end }}

{{- define "gpunode.args.gfd" -}}
{{- include "gpunode.flags" (list (list "no-timestamp" .Values.gfd.noTimestamp)) }}
{{- end }}

{{- define "gpunode.args.plugin" -}}
{{- include "gpunode.flags" (list
  (list "device-list-strategy" .Values.deviceListStrategy)
  (list "device-id-strategy" .Values.deviceIDStrategy)
  (list "pass-device-specs" .Values.compatWithCPUManager)
  (list "nvidia-driver-root" (eq .Values.nvidiaDriverRoot "/" | ternary "" .Values.nvidiaDriverRoot))
  (list "nvidia-dev-root" .Values.nvidiaDevRoot)
  (list "gdrcopy-enabled" .Values.gdrcopyEnabled)
  (list "gds-enabled" .Values.gdsEnabled)
  (list "mofed-enabled" .Values.mofedEnabled)
  (list "mps-root" .Values.mps.root)
  (list "nvidia-cdi-hook-path" .Values.cdi.nvidiaHookPath)
  (list "cdi-feature-flags" .Values.cdi.featureFlags)
  (list "startup-taint" .Values.devicePlugin.startupTaint)) }}
{{- end }}
