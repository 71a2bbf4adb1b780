{{/* Replaces null, also of a whole section, by the default. Fields of pods, such as tolerations, stay absent (tests/manifests/generated.py). */}}
{{- define "gpunode.setup" -}}
{{- include "gpunode.fill" (list .Values (include "gpunode.defaults" . | fromYaml)) }}
{{- end }}

{{- define "gpunode.fill" -}}
{{- $values := index . 0 }}
{{- range $key, $default := index . 1 }}
{{- $value := index $values $key }}
{{- if kindIs "map" $default }}
{{- if kindIs "invalid" $value }}{{ $_ := set $values $key dict }}{{ end }}
{{- include "gpunode.fill" (list (index $values $key) $default) }}
{{- else if or (kindIs "invalid" $value) (and (kindIs "string" $default) (eq "" (toString $value))) }}
{{- $_ := set $values $key $default }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses values that cannot work, with all reasons. */}}
{{- define "gpunode.check" -}}
{{- with include "gpunode.problems" . | trim }}{{ fail (printf "\n%s" .) }}{{ end }}
{{- end }}

{{- define "gpunode.problems" -}}
{{- include "gpunode.upstreamLines" (dict "root" . "kind" "refused") }}
{{- if regexMatch "(k8s-device-plugin|gpu-feature-discovery|node-feature-discovery)$" .Values.image.repository }}
- image.repository: {{ .Values.image.repository }} does not contain the agents. Set the name of your image (docs/how-to/build-image.md).
{{- end }}
{{- include "gpunode.configProblems" . }}
{{- with .Values.devicePlugin.startupTaint }}
{{- if not (regexMatch "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?(=([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?)?:(NoSchedule|PreferNoSchedule|NoExecute)$" .) }}
- devicePlugin.startupTaint: {{ . | quote }} is not a taint. Use key:effect or key=value:effect, for example nvidia.com/gpu-not-ready:NoSchedule.
{{- end }}
{{- end }}
{{- with .Values.gateLabel }}
{{- if not (regexMatch "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?(=([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?)?$" .) }}
- gateLabel: {{ . | quote }} is not a label. Use key=value, for example nvidia.com/gpu.present=true.
{{- end }}
{{- end }}
{{- include "gpunode.draProblems" . }}
{{- if not .Values.cleanup.enabled }}
{{- include "gpunode.schedulingProblems" . }}
{{- end }}
{{- end }}

{{/* Two agents must not hand out the same GPUs. */}}
{{- define "gpunode.draProblems" -}}
{{- if and .Values.dra.enabled (not .Values.cleanup.enabled) }}
{{- if .Values.singleProcess.enabled }}
- dra.enabled: singleProcess contains the device plugin, which would hand out the same GPUs. Set only one of them.
{{- else if and .Values.devicePlugin.enabled (or (empty .Values.dra.nodeSelector) (empty .Values.devicePlugin.nodeSelector) (eq (toJson .Values.dra.nodeSelector) (toJson .Values.devicePlugin.nodeSelector))) }}
- dra.enabled: the device plugin would hand out the same GPUs. Set devicePlugin.enabled to false, or select different nodes by dra.nodeSelector and devicePlugin.nodeSelector.
{{- end }}
{{- if and .Values.dra.dynamicMIG .Values.migManager.enabled (or (empty .Values.dra.nodeSelector) (empty .Values.migManager.nodeSelector) (eq (toJson .Values.dra.nodeSelector) (toJson .Values.migManager.nodeSelector))) }}
- dra.dynamicMIG: mig-manager would destroy the MIG instances of claims, and the driver those of mig-manager. Set migManager.enabled to false, or select different nodes by dra.nodeSelector and migManager.nodeSelector.
{{- end }}
{{- if semverCompare "<1.32.0-0" .Capabilities.KubeVersion.Version }}
- dra.enabled: needs Kubernetes 1.32 or newer.
{{- end }}
{{- end }}
{{- end }}

{{- define "gpunode.configProblems" -}}
{{- with .Values.config }}
{{- if and .map .name }}
- config: map and name are both set. Set only one of them.
{{- end }}
{{- if and .map .default (not (hasKey .map .default)) }}
- config.default: {{ .default | quote }} is not a name in config.map. Use one of {{ keys .map | sortAlpha | join ", " }}.
{{- end }}
{{- range $name, $content := .map }}
{{- if not (kindIs "invalid" $content) }}
{{- $config := kindIs "map" $content | ternary $content (toString $content | fromYaml) }}
{{- if hasKey $config "Error" }}
- config.map.{{ $name }}: the text is not a YAML mapping. Write keys of docs/reference/config-file.md, for example `version: v1`.
{{- else if ne "v1" ($config.version | default "v1" | toString) }}
- config.map.{{ $name }}: version {{ $config.version }} is not supported. Use v1.
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* No agent may wait for a label that no agent publishes. */}}
{{- define "gpunode.schedulingProblems" -}}
{{- $published := "^(nvidia\\.com|feature\\.node\\.kubernetes\\.io)/" }}
{{- $ofGfd := "^nvidia\\.com/(cuda\\.|gfd\\.|gpunode\\.simulated$|mig-|mig\\.(capable|strategy)$|mps\\.|vgpu\\.|gpu\\.(clique|compute|count|engines|family|machine|memory|mode|multiprocessors|numa|nvlink|product|replicas|sharing-strategy|slices)(\\.|$))" }}
{{- if .Values.singleProcess.enabled }}
{{- if or .Values.nodeSelector .Values.affinity }}
- nodeSelector, affinity: they apply to gfd and gpu-device-plugin only. With singleProcess set singleProcess.nodeSelector and singleProcess.affinity.
{{- end }}
{{- with include "gpunode.requiredLabel" (dict "pod" .Values.singleProcess "matches" $published) }}
- singleProcess: nodeSelector or affinity requires the label {{ . }}, which the process itself publishes. It would never start on a new node.
{{- end }}
{{- else }}
{{- if .Values.nfd.enabled }}
{{- with include "gpunode.requiredLabel" (dict "pod" .Values.nfd "matches" $published) }}
- nfd: nodeSelector or affinity requires the label {{ . }}, which nfd-lite itself publishes. It would never start on a new node.
{{- end }}
{{- else if and (kindIs "invalid" .Values.gateLabel) (or .Values.gfd.enabled .Values.devicePlugin.enabled .Values.dcgmExporter.enabled) }}
- nfd.enabled: without nfd-lite nothing of this chart sets the label nvidia.com/gpu.present=true, and gfd and gpu-device-plugin wait for it. Set
  gateLabel to a label of GPU nodes that other software sets, for example feature.node.kubernetes.io/pci-10de.present=true (Node Feature
  Discovery with deviceLabelFields [vendor]) or nvidia.com/gpu.present=true (GPU Operator); or set gateLabel to "" to run on every node.
{{- end }}
{{- $pod := dict "nodeSelector" (merge (dict) (.Values.nodeSelector | default dict) (include "gpunode.gateSelector" . | fromYaml)) "affinity" .Values.affinity }}
{{- if .Values.gfd.enabled }}
{{- $gfd := dict "nodeSelector" (merge (dict) (.Values.gfd.nodeSelector | default dict) $pod.nodeSelector) "affinity" .Values.affinity }}
{{- with include "gpunode.requiredLabel" (dict "pod" $gfd "matches" $ofGfd) }}
- gfd: nodeSelector, affinity or gateLabel requires the label {{ . }}, which gfd itself publishes. It would never start on a new node. To select
  nodes for gpu-device-plugin only, set devicePlugin.nodeSelector.
{{- end }}
{{- end }}
{{- $fields := include "gpunode.listAt" (list .Values.nfd.config "sources" "pci" "deviceLabelFields") | fromYamlArray }}
{{- if and .Values.nfd.enabled (ne "vendor" (join "," $fields)) }}
{{- with include "gpunode.requiredLabel" (dict "pod" $pod "matches" "^feature\\.node\\.kubernetes\\.io/pci-[0-9a-f]{4}\\.") }}
- nodeSelector, affinity, gateLabel: the label {{ . }} needs nfd.config.sources.pci.deviceLabelFields=[vendor]. Set that, or select nvidia.com/gpu.present.
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Returns a label that the nodeSelector, or each term of the required node affinity, needs. pod: with both fields; matches: a pattern of keys. */}}
{{- define "gpunode.requiredLabel" -}}
{{- $matches := .matches }}
{{- $found := list }}
{{- range $key, $value := .pod.nodeSelector }}
{{- if and (regexMatch $matches $key) (not (kindIs "invalid" $value)) }}{{ $found = append $found $key }}{{ end }}
{{- end }}
{{- $required := list .pod.affinity "nodeAffinity" "requiredDuringSchedulingIgnoredDuringExecution" "nodeSelectorTerms" }}
{{- $terms := include "gpunode.listAt" $required | fromYamlArray }}
{{- $blocked := list }}
{{- range $terms }}
{{- $key := "" }}
{{- range .matchExpressions }}
{{- if and (regexMatch $matches .key) (has .operator (list "In" "Exists" "Gt" "Lt")) }}{{ $key = .key }}{{ end }}
{{- end }}
{{- if $key }}{{ $blocked = append $blocked $key }}{{ end }}
{{- end }}
{{- if and $terms (eq (len $terms) (len $blocked)) }}{{ $found = concat $found $blocked }}{{ end }}
{{- with $found }}{{ first . }}{{ end }}
{{- end }}

{{/* Returns the list at a path as YAML, or nothing. A list of the map and the keys. */}}
{{- define "gpunode.listAt" -}}
{{- $value := first . }}
{{- range rest . }}
{{- if kindIs "map" $value }}{{ $value = get $value . }}{{ else }}{{ $value = "" }}{{ end }}
{{- end }}
{{- if kindIs "slice" $value }}{{ toYaml $value }}{{ end }}
{{- end }}

{{/* The set values of other charts, as lines. root: the root context; kind: refused or ignored. */}}
{{- define "gpunode.upstreamLines" -}}
{{- $root := .root }}
{{- range $path, $text := get (include "gpunode.upstream" . | fromYaml) .kind }}
{{- if include "gpunode.isSet" (dict "value" $root.Values "path" (splitList "." $path)) }}
- {{ $path }}: {{ $text }}
{{- end }}
{{- end }}
{{- end }}

{{/* Returns a text if the value at the path is neither null nor empty, and no section above or below is switched off. */}}
{{- define "gpunode.isSet" -}}
{{- $value := .value }}
{{- $path := .path }}
{{- if not (kindIs "map" $value) }}
{{- if and $value (not $path) }}set{{ end }}
{{- else if not (include "gpunode.isOff" $value) }}
{{- range empty $path | ternary (keys $value) (list (first $path)) }}
{{- include "gpunode.isSet" (dict "value" (get $value .) "path" (rest $path)) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "gpunode.isOff" -}}
{{- $section := . }}
{{- range list "enabled" "enable" }}
{{- if and (hasKey $section .) (kindIs "bool" (get $section .)) (not (get $section .)) }}off{{ end }}
{{- end }}
{{- end }}
