{{/* Generated from values.yaml by `make manifests`: the values that replace null. */}}
{{- define "gpunode.defaults" -}}
image:
  repository: gpunode
  pullPolicy: IfNotPresent
imagePullSecrets: []
resourceQuota:
  enabled: false
podAnnotations: {}
podLabels: {}
nvidiaDriverRoot: /
mps: {}
cdi:
  dir: /var/run/cdi
  featureFlags: []
privileged: false
migMonitor: false
config:
  map: {}
  fallbackStrategies: []
premium:
  rules: []
kubeletRootDir: /var/lib/kubelet
publish: node
nfd:
  enabled: true
  config: {}
  extraLabelNs: []
  denyLabelNs: []
  mountBoot: true
  extraArgs: []
  extraEnv: []
  securityContext: {}
gfd:
  enabled: true
  extraArgs: []
  extraEnv: []
  securityContext: {}
devicePlugin:
  enabled: true
  extraArgs: []
  extraEnv: []
  securityContext: {}
topologyUpdater:
  enable: false
  config: {}
  extraArgs: []
  extraEnv: []
  securityContext: {}
dcgmExporter:
  enabled: false
  hostPID: false
  enablePodLabels: false
  enablePodUID: false
  podLabelAllowlistRegex: []
  config: {}
  serviceMonitor:
    enabled: false
    interval: 15s
    honorLabels: true
    additionalLabels: {}
    relabelings: []
  extraArgs: []
  extraEnv: []
  securityContext: {}
migManager:
  enabled: false
  config: {}
  busyPolicy: wait
  pauseComponents: []
  stopHostServices: false
  gpuClientsConfig: {}
  withReboot: false
  extraArgs: []
  extraEnv: []
  securityContext: {}
toolkit:
  enabled: false
  mode: apply
  extraArgs: []
  extraEnv: []
  securityContext: {}
dra:
  enabled: false
  dynamicMIG: false
  taintEffect: NoSchedule
  deviceClasses: true
  rollingUpdate: false
  extraArgs: []
  extraEnv: []
  securityContext: {}
validator:
  enabled: false
  skipChecks: []
  runtimeSocket: /run/containerd/containerd.sock
  extraArgs: []
  extraEnv: []
  securityContext: {}
driver:
  enabled: false
  imagePullSecrets: []
  env: []
  args: []
  startupProbe: {}
  livenessProbe: {}
  readinessProbe: {}
  labels: {}
  annotations: {}
  certConfig: {}
  repoConfig: {}
  kernelModuleConfig: {}
  manager: {}
  upgradePolicy: {}
featureGates:
  NodeFeatureGroupAPI: false
gc:
  enable: false
  interval: 1h
operator:
  replicas: 1
  extraArgs: []
  extraEnv: []
  securityContext: {}
singleProcess:
  enabled: false
  extraArgs: []
  extraEnv: []
  securityContext: {}
metrics:
  auth: false
prometheus:
  enable: false
  labels: {}
  endpoint: {}
networkPolicy:
  enabled: true
  apiServerPorts:
  - 443
  - 6443
  - 8443
  - 16443
admissionPolicies:
  enabled: true
viewer:
  aggregateToView: false
cleanup:
  enabled: false
  extraArgs: []
  extraEnv: []
  securityContext: {}
{{- end }}
