{{/* Names are fixed: two installations in one cluster would label the same nodes and wait for each other's lock. */}}

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

{{/* The metadata of cluster-scoped objects. */}}
{{- define "gpunode.clusterMetadata" -}}
name: {{ .name }}
labels:
  {{- include "gpunode.labels" .root | nindent 2 }}
{{- end }}

{{/* The accounts of the enabled agents, as JSON. */}}
{{- define "gpunode.accounts" -}}
{{- $on := list }}
{{- if .Values.cleanup.enabled }}
{{- else if .Values.singleProcess.enabled }}
{{- $on = list "gpunode" }}
{{- if .Values.migManager.enabled }}{{ $on = append $on "mig-manager" }}{{ end }}
{{- if .Values.toolkit.enabled }}{{ $on = append $on "gpu-toolkit" }}{{ end }}
{{- if .Values.validator.enabled }}{{ $on = append $on "gpu-validator" }}{{ end }}
{{- else }}
{{- if .Values.nfd.enabled }}{{ $on = append $on "nfd-lite" }}{{ end }}
{{- if .Values.gfd.enabled }}{{ $on = append $on "gfd" }}{{ end }}
{{- if .Values.devicePlugin.enabled }}{{ $on = append $on "gpu-device-plugin" }}{{ end }}
{{- if .Values.dcgmExporter.enabled }}{{ $on = append $on "gpu-exporter" }}{{ end }}
{{- if .Values.migManager.enabled }}{{ $on = append $on "mig-manager" }}{{ end }}
{{- if .Values.toolkit.enabled }}{{ $on = append $on "gpu-toolkit" }}{{ end }}
{{- if .Values.validator.enabled }}{{ $on = append $on "gpu-validator" }}{{ end }}
{{- if .Values.dra.enabled }}{{ $on = append $on "gpu-dra-driver" }}{{ end }}
{{- end }}
{{- toJson $on }}
{{- end }}

{{/* The subjects of a binding: the enabled agents among `agents`. */}}
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

{{/* Renders flags from pairs of name and value. Omits values that are null, empty or an empty list. */}}
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
  (list "enable-taints" (and (kindIs "invalid" .Values.nfd.enableTaints) (not (empty .Values.premium.rules)) | ternary true .Values.nfd.enableTaints))
  (list "extra-label-ns" .Values.nfd.extraLabelNs)
  (list "deny-label-ns" .Values.nfd.denyLabelNs)
  (list "merge-node-features" .Values.nfd.mergeNodeFeatures)
  (list "driver-label" (include "gpunode.labelsDriver" . | empty | ternary nil true))) }}
{{- end }}

{{/* The flags of both gfd and gpu-device-plugin. */}}
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
  (list "startup-taint" .Values.devicePlugin.startupTaint)
  (list "wait-for-mig-manager" (ternary true "" .Values.migManager.enabled))) }}
{{- if not (kindIs "invalid" .Values.gateLabel) }}
- --gate-label={{ .Values.gateLabel }}
{{- end }}
{{- end }}

{{/* The flags of nfd-lite-topology. */}}
{{- define "gpunode.args.topology" -}}
{{- with .Values.topologyUpdater }}
{{- include "gpunode.flags" (list
  (list "config" (empty .config | ternary "" "/etc/gpunode/nfd-topology/nfd-topology-updater.conf"))
  (list "sleep-interval" .updateInterval)
  (list "watch-namespace" .watchNamespace)
  (list "pods-fingerprint" .podSetFingerprint)
  (list "kubelet-config-uri" (empty .kubeletConfigPath | ternary "" "file:///etc/gpunode/kubelet-config.yaml"))
  (list "podresources-socket" (empty .kubeletPodResourcesSockPath | ternary "" (printf "/var/lib/kubelet/pod-resources/%s" (base (.kubeletPodResourcesSockPath | default "")))))) }}
{{- end }}
{{- end }}

{{/* The flags of gpu-exporter. */}}
{{- define "gpunode.args.exporter" -}}
{{- with .Values.dcgmExporter }}
{{- if .config.name }}
- --collectors=/etc/dcgm-exporter/dcgm-metrics.csv
{{- end }}
{{- include "gpunode.flags" (list
  (list "kubernetes-enable-pod-labels" (ternary true "" .enablePodLabels))
  (list "kubernetes-enable-pod-uid" (ternary true "" .enablePodUID))
  (list "kubernetes-pod-label-allowlist-regex" .podLabelAllowlistRegex)) }}
{{- end }}
{{- end }}

{{/* The flags of mig-manager. */}}
{{- define "gpunode.args.mig" -}}
{{- with .Values.migManager }}
{{- if .config.name }}
- --mig-config-file=/etc/gpunode/mig-configs
{{- end }}
- --mig-busy-policy={{ .busyPolicy }}
{{- with .pauseComponents }}
- --mig-pause-components={{ join "," . }}
{{- end }}
{{- if .stopHostServices }}
- --mig-stop-host-services
{{- if .gpuClientsConfig.name }}
- --mig-gpu-clients-file=/etc/gpunode/mig-clients/clients.yaml
{{- end }}
{{- end }}
{{- if .withReboot }}
- --mig-with-reboot
{{- end }}
{{- end }}
{{- end }}

{{/* The flags of gpu-toolkit. */}}
{{- define "gpunode.args.toolkit" -}}
- --toolkit-mode={{ .Values.toolkit.mode }}
{{- include "gpunode.flags" (list
  (list "cdi-dir" (eq .Values.cdi.dir "/var/run/cdi" | ternary "" .Values.cdi.dir))
  (list "runtime-restart-mode" (empty .Values.toolkit.restartCommand | ternary "" "command"))
  (list "runtime-restart-command" .Values.toolkit.restartCommand)) }}
{{- if .Values.toolkit.source }}
- --toolkit-source=/host{{ .Values.toolkit.source }}
{{- include "gpunode.flags" (list
  (list "toolkit-install-dir" .Values.toolkit.installDir)
  (list "nvidia-driver-root" (eq .Values.nvidiaDriverRoot "/" | ternary "" .Values.nvidiaDriverRoot))) }}
{{- end }}
{{- end }}

{{/* The flags of gpu-dra-driver. */}}
{{- define "gpunode.args.dra" -}}
{{- include "gpunode.flags" (list
  (list "dra-dynamic-mig" (ternary true "" .Values.dra.dynamicMIG))
  (list "dra-taint-effect" (eq .Values.dra.taintEffect "NoSchedule" | ternary "" .Values.dra.taintEffect))
  (list "mps-root" .Values.mps.root)
  (list "kubelet-root" (eq .Values.kubeletRootDir "/var/lib/kubelet" | ternary "" .Values.kubeletRootDir))
  (list "nvidia-driver-root" (eq .Values.nvidiaDriverRoot "/" | ternary "" .Values.nvidiaDriverRoot))
  (list "nvidia-dev-root" .Values.nvidiaDevRoot)
  (list "nvidia-cdi-hook-path" .Values.cdi.nvidiaHookPath)) }}
{{- end }}

{{/* The flags of gpu-validator. It checks what the settings of gpu-device-plugin promise. */}}
{{- define "gpunode.args.validator" -}}
{{- include "gpunode.flags" (list
  (list "skip-checks" .Values.validator.skipChecks)
  (list "device-list-strategy" .Values.deviceListStrategy)
  (list "nvidia-driver-root" (eq .Values.nvidiaDriverRoot "/" | ternary "" .Values.nvidiaDriverRoot))
  (list "nvidia-dev-root" .Values.nvidiaDevRoot)
  (list "device-discovery-strategy" .Values.deviceDiscoveryStrategy)
  (list "runtime-socket" (printf "/run/runtime/%s" (base .Values.validator.runtimeSocket)))) }}
{{- end }}

{{/*
The default affinity of the agents that use GPUs: nodes with any label of nfd-lite or Node Feature Discovery for an NVIDIA GPU. A DaemonSet
deletes its pod when the node does not match any more, so one label that is removed by mistake must not be enough.
*/}}
{{- define "gpunode.gpuNodes" -}}
{{- $pci := "feature.node.kubernetes.io/pci" }}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
      {{- range list "nvidia.com/gpu.present" (printf "%s-0302_10de.present" $pci) (printf "%s-0300_10de.present" $pci) (printf "%s-10de.present" $pci) }}
      - matchExpressions: [{key: {{ . }}, operator: In, values: ["true"]}]
      {{- end }}
{{- end }}

{{/* The agents that use GPUs, and the component of NVIDIA's labels nvidia.com/gpu.deploy.COMPONENT that each one replaces, as JSON. */}}
{{- define "gpunode.components" -}}
{"gfd": "gpu-feature-discovery", "gpu-device-plugin": "device-plugin", "gpu-exporter": "dcgm-exporter", "mig-manager": "mig-manager",
"gpu-toolkit": "container-toolkit", "gpu-validator": "operator-validator", "gpu-dra-driver": "dra-driver"}
{{- end }}

{{/*
An affinity that also excludes the nodes that opt out of an agent, by NVIDIA's labels with the value `false`. affinity: of the values;
component: of the label. Each term gets the requirements, because one term is enough to match.
*/}}
{{- define "gpunode.optOut" -}}
{{- $affinity := .affinity }}
{{- $node := $affinity.nodeAffinity | default dict }}
{{- $required := $node.requiredDuringSchedulingIgnoredDuringExecution | default dict }}
{{- $excluded := list }}
{{- range list "operands" .component }}
{{- $excluded = append $excluded (dict "key" (printf "nvidia.com/gpu.deploy.%s" .) "operator" "NotIn" "values" (list "false")) }}
{{- end }}
{{- $terms := list }}
{{- range $required.nodeSelectorTerms | default (list dict) }}
{{- $terms = append $terms (merge (dict "matchExpressions" (concat (.matchExpressions | default list) $excluded)) (omit . "matchExpressions")) }}
{{- end }}
{{- $node = merge (dict "requiredDuringSchedulingIgnoredDuringExecution" (dict "nodeSelectorTerms" $terms)) (omit $node "requiredDuringSchedulingIgnoredDuringExecution") }}
{{- toYaml (merge (dict "nodeAffinity" $node) (omit $affinity "nodeAffinity")) }}
{{- end }}

{{/* The node selector of the agents that use GPUs, for gateLabel. */}}
{{- define "gpunode.gateSelector" -}}
{{- with .Values.gateLabel }}
{{ first (splitList "=" .) | quote }}: {{ contains "=" . | ternary (last (splitList "=" .)) "true" | quote }}
{{- end }}
{{- end }}

{{/*
nodeSelector, affinity and tolerations of an agent. The top level does not select nodes for nfd-lite, which publishes the labels that are
selected. Every agent tolerates the taints of the chart itself.
*/}}
{{- define "gpunode.scheduling" -}}
{{- $values := .root.Values }}
{{- $selector := .section.nodeSelector | default dict }}
{{- $affinity := .section.affinity }}
{{- $component := get (include "gpunode.components" . | fromJson) .name }}
{{- if $component }}
{{- $selector = merge (include "gpunode.gateSelector" .root | fromYaml) $selector ($values.nodeSelector | default dict) }}
{{- $affinity = $values.affinity }}
{{- if and (kindIs "map" $affinity) (empty $affinity) (kindIs "invalid" $values.gateLabel) }}
{{- $affinity = include "gpunode.gpuNodes" . | fromYaml }}
{{- end }}
{{- if kindIs "map" $affinity }}
{{- $affinity = include "gpunode.optOut" (dict "affinity" $affinity "component" $component) | fromYaml }}
{{- end }}
{{- end }}
{{- with $selector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "gpunode.tolerations" .root | fromYamlArray }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "gpunode.tolerations" -}}
{{- $tolerations := .Values.tolerations | default list }}
{{- if not (has (dict "operator" "Exists") $tolerations) }}
{{- with .Values.devicePlugin.startupTaint }}
{{- $tolerations = append $tolerations (dict "key" (regexFind "^[^=:]+" .) "operator" "Exists") }}
{{- end }}
{{- range .Values.premium.rules }}
{{- range .taints }}
{{- $tolerations = append $tolerations (dict "key" .key "operator" "Exists") }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml (uniq $tolerations) }}
{{- end }}

{{/* The spec of the NVIDIADriver `default`: the values of `driver` that are neither null nor empty, with the names of the object. */}}
{{- define "gpunode.driverSpec" -}}
{{- $spec := dict }}
{{- range $name, $value := omit .Values.driver "enabled" "repoConfig" "certConfig" "kernelModuleConfig" "upgradePolicy" }}
{{- if not (empty $value) }}{{ $_ := set $spec $name $value }}{{ end }}
{{- end }}
{{- $_ := set $spec "version" (toString .Values.driver.version) }}
{{- with include "gpunode.tolerations" . | fromYamlArray }}{{ $_ := set $spec "tolerations" . }}{{ end }}
{{- with .Values.driver }}
{{- range $section, $name := dict "repoConfig" .repoConfig.configMapName "certConfig" .certConfig.name "kernelModuleConfig" .kernelModuleConfig.name }}
{{- if $name }}{{ $_ := set $spec $section (dict "name" $name) }}{{ end }}
{{- end }}
{{- with .upgradePolicy }}
{{- $policy := omit . "gpuPodDeletion" }}
{{- with .gpuPodDeletion }}{{ $_ := set $policy "podDeletion" . }}{{ end }}
{{- $_ := set $spec "upgradePolicy" $policy }}
{{- end }}
{{- end }}
{{- toYaml $spec }}
{{- end }}

{{/* A policy that limits an account to the ResourceSlices of gpu.nvidia.com for its own Node. name: of the policy. */}}
{{- define "gpunode.slicePolicy" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  {{- include "gpunode.clusterMetadata" . | nindent 2 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [resource.k8s.io]
        apiVersions: ["*"]
        operations: [CREATE, UPDATE, DELETE]
        resources: [resourceslices]
  matchConditions:
    - name: request-of-the-agent
      expression: |-
        request.userInfo.username == 'system:serviceaccount:{{ .root.Release.Namespace }}:{{ .account }}'
  variables:
    - name: node # the Node of the pod that has this token
      expression: |-
        has(request.userInfo.extra)
        ? request.userInfo.extra[?'authentication.kubernetes.io/node-name'][?0].orValue('') : ''
    - name: slices
      expression: |-
        (object != null ? [object] : []) + (oldObject != null ? [oldObject] : [])
  validations:
    - expression: |-
        variables.node != '' && variables.slices.all(s,
          s.spec.?nodeName.orValue('') == variables.node && s.spec.driver == 'gpu.nvidia.com')
      reason: Forbidden
      messageExpression: |-
        '{{ .account }} may write only ResourceSlices of gpu.nvidia.com for its own Node ' + variables.node
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  {{- include "gpunode.clusterMetadata" . | nindent 2 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
{{- end }}
