{{/*
Values of the charts of Node Feature Discovery, NVIDIA's device plugin and the GPU Operator that this chart does not have, by path.
refused: the reader must act; the text says what to write. ignored: the value has no effect here; NOTES.txt lists it. A value is set if it is
neither null nor empty, and if its section is not switched off by enabled or enable. values.schema.json accepts exactly these paths.
*/}}
{{- define "gpunode.upstream" -}}
{{- $operator := "only the GPU Operator has this value. Set it there, and remove it here (docs/how-to/migrate.md)." }}
{{- $image := "all agents use the image of `image` and `imagePullSecrets`." }}
{{- $network := "the pods use the network of pods." }}
refused:
  # NVIDIA's device plugin
  nameOverride: names are fixed, because two installations would label the same nodes. Remove the value.
  fullnameOverride: names are fixed, because two installations would label the same nodes. Remove the value.
  namespaceOverride: the namespace is the namespace of the release. Use `helm --namespace`.
  gfd.namespaceOverride: the namespace is the namespace of the release. Use `helm --namespace`.
  podSecurityContext: set `securityContext` in the sections nfd, gfd and devicePlugin.
  securityContext: set `securityContext` in the sections nfd, gfd and devicePlugin.
  resources: set `resources` in the sections nfd, gfd and devicePlugin.
  legacyDaemonsetAPI: Kubernetes 1.16 removed this API. Remove the value.
  noTimestamp: set `gfd.noTimestamp`.
  sleepInterval: set `gfd.sleepInterval`.
  devicePlugin.containers: set `devicePlugin.extraEnv`. The chart sets NVIDIA_VISIBLE_DEVICES and NVIDIA_DRIVER_CAPABILITIES itself.
  {{- range $section := list "devicePlugin" "gfd" "nfd" }}
  {{- range list "podAnnotations" "podLabels" "tolerations" "updateStrategy" }}
  {{ $section }}.{{ . }}: set `{{ . }}`, which applies to all agents.
  {{- end }}
  {{- end }}
  devicePlugin.affinity: set `affinity`, which applies to gfd and gpu-device-plugin.
  gfd.affinity: set `affinity`, which applies to gfd and gpu-device-plugin.
  # GPU Operator
  devicePlugin.args: set `devicePlugin.extraArgs`.
  devicePlugin.env: set `devicePlugin.extraEnv`.
  devicePlugin.config: set `config.name` or `config.map`, and `config.default`.
  devicePlugin.mps: set `mps.root`.
  gfd.args: set `gfd.extraArgs`.
  gfd.env: set `gfd.extraEnv`.
  mig: set `migStrategy`.
  hostPaths: set `nvidiaDriverRoot` to the folder of the driver, for example /run/nvidia/driver.
  daemonsets: set `tolerations`, `priorityClassName`, `updateStrategy`, `podLabels` and `podAnnotations`.
  node-feature-discovery: set `nfd.config` to its `worker.config`, and `nfd.enableTaints`, `nfd.extraLabelNs`, `nfd.denyLabelNs`.
  nfd.nodefeaturerules: create the NodeFeatureRules yourself.
  {{- range list "ccManager" "clusterPolicy" "dcgm" "dcgmExporter" "draDriver" "driver" "extraObjects" "fabricManager" "gdrcopy" "gds"
    "gpuCluster" "kataManager" "kataSandboxDevicePlugin" "migManager" "nodeStatusExporter" "operator" "platform" "psa" "psp" "sandboxDevicePlugin" "sandboxWorkloads"
    "toolkit" "validator" "vfioManager" "vgpuDeviceManager" "vgpuManager" }}
  {{ . }}: {{ $operator }}
  {{- end }}
  # Node Feature Discovery, also as the section nfd of NVIDIA's chart
  nfd.prometheus: set `prometheus`.
  nfd.deploy: set `nfd.enabled`.
  {{- range list "" "nfd." }}
  {{ . }}worker.config: set `nfd.config`, which is nfd-worker.conf.
  {{ . }}worker.options: set `nfd.config`, which is nfd-worker.conf.
  {{ . }}worker.nodeSelector: set `nfd.nodeSelector`.
  {{ . }}worker.affinity: set `nfd.affinity`.
  {{ . }}worker.extraArgs: set `nfd.extraArgs`.
  {{ . }}worker.extraEnvs: set `nfd.extraEnv`.
  {{ . }}master.config: move its keys to `nfd.config`, and extraLabelNs to `nfd.extraLabelNs` (docs/how-to/migrate.md).
  {{ . }}master.enableTaints: set `nfd.enableTaints`.
  {{ . }}master.extraLabelNs: set `nfd.extraLabelNs`.
  {{ . }}master.denyLabelNs: set `nfd.denyLabelNs`.
  {{ . }}master.extraArgs: set `nfd.extraArgs`.
  {{ . }}master.extraEnvs: set `nfd.extraEnv`.
  {{ . }}master.instance: this chart installs one instance for each cluster. Remove the value.
  {{ . }}topologyUpdater: this chart has no topology-updater. Keep the chart of NFD for it, with `worker.enable` and `master.enable` set to false.
  {{ . }}tls: set `metrics.tlsSecret`. There is no connection between a worker and a master.
  {{- end }}
ignored:
  # NVIDIA's device plugin
  devicePlugin.runtimeClassName: gfd and gpu-device-plugin have the class of `runtimeClassName`.
  gfd.runtimeClassName: gfd and gpu-device-plugin have the class of `runtimeClassName`.
  failOnInitError: an agent without a driver continues and tries again.
  selectorLabelsOverride: the labels of pods are fixed.
  componentSelectorLabels: the labels of pods are fixed.
  allowDefaultNamespace: every namespace is allowed.
  gfd.nameOverride: names are fixed.
  gfd.fullnameOverride: names are fixed.
  mps.enableHostPID: the device plugin starts the MPS daemons itself.
  {{- range list "devicePlugin.enableHostNetwork" "devicePlugin.hostNetwork" "gfd.enableHostNetwork" "gfd.hostNetwork" "mps.enableHostNetwork" }}
  {{ . }}: {{ $network }}
  {{- end }}
  # GPU Operator
  {{- range list "cdi.default" "cdi.enabled" "cdi.nriPluginEnabled" }}
  {{ . }}: the device plugin uses CDI where the kubelet and the runtime support it. `deviceListStrategy` overrides that.
  {{- end }}
  {{- range $section := list "devicePlugin" "gfd" }}
  {{- range list "image" "imagePullPolicy" "imagePullSecrets" "repository" "version" }}
  {{ $section }}.{{ . }}: {{ $image }}
  {{- end }}
  {{- end }}
  # Node Feature Discovery, also as the section nfd of NVIDIA's chart
  nfd.image: {{ $image }}
  nfd.imagePullSecrets: {{ $image }}
  nfd.nameOverride: names are fixed.
  nfd.fullnameOverride: names are fixed.
  nfd.namespaceOverride: the namespace is the namespace of the release.
  nfd.priorityClassName: all agents have the class of `priorityClassName`.
  {{- range list "" "nfd." }}
  {{ . }}worker: only `config`, `nodeSelector`, `affinity`, `extraArgs` and `extraEnvs` have counterparts. The section nfd has defaults for the rest.
  {{ . }}master: each nfd-lite evaluates the rules and labels its own Node.
  {{ . }}gc: labels and NodeFeature objects belong to their Node.
  {{ . }}topologyGC: labels and NodeFeature objects belong to their Node.
  {{ . }}enableNodeFeatureApi: labels are written to the Node. `publish=node-feature` writes NodeFeature objects.
  {{ . }}nodeFeatureRule: Helm installs the CRDs, except with `--skip-crds`.
  {{ . }}checksumValuesOnly: the agents read changed ConfigMaps without a restart.
  {{ . }}featureGates: nfd-lite has no feature gates.
  {{ . }}postDeleteCleanup: "`cleanup.enabled` removes what the agents wrote."
  {{- end }}
{{- end }}
