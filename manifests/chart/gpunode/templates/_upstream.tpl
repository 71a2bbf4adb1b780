{{/*
Generated from the tables in gpunode/migrate by `make manifests`: values of the charts of Node Feature Discovery, NVIDIA's device plugin
and the GPU Operator that this chart does not have, by path. refused: the reader must act; the text says what to write. ignored: the value
has no effect here; NOTES.txt lists it. A value is set if it is neither null nor empty, and if its section is not switched off by enabled
or enable. values.schema.json accepts exactly these paths.
*/}}
{{- define "gpunode.upstream" -}}
refused:
  nfd.podAnnotations: Set `podAnnotations`. It applies to all agents.
  nfd.podLabels: Set `podLabels`. It applies to all agents.
  nfd.tolerations: Set `tolerations`. It applies to all agents.
  nfd.updateStrategy: Set `updateStrategy`. It applies to all agents.
  gfd.podAnnotations: Set `podAnnotations`. It applies to all agents.
  gfd.podLabels: Set `podLabels`. It applies to all agents.
  gfd.tolerations: Set `tolerations`. It applies to all agents.
  gfd.updateStrategy: Set `updateStrategy.type`. It applies to all agents.
  gfd.affinity: Set `affinity`. It applies to gfd, gpu-device-plugin, gpu-exporter, mig-manager and gpu-validator.
  devicePlugin.podAnnotations: Set `podAnnotations`. It applies to all agents.
  devicePlugin.podLabels: Set `podLabels`. It applies to all agents.
  devicePlugin.tolerations: Set `tolerations`. It applies to all agents.
  devicePlugin.updateStrategy: Set `updateStrategy.type`. It applies to all agents.
  devicePlugin.affinity: Set `affinity`. It applies to gfd, gpu-device-plugin, gpu-exporter, mig-manager and gpu-validator.
  noTimestamp: Set `gfd.noTimestamp`.
  sleepInterval: Set `gfd.sleepInterval`.
  securityContext: Set `devicePlugin.securityContext`. Each agent has a security context of its own.
  podSecurityContext: Set `securityContext` in the section of each agent.
  resources: The chart sets the measured requests of each agent. For others, set `resources` in the section of the agent.
  devicePlugin.containers: Set `devicePlugin.extraEnv`. The chart sets NVIDIA_VISIBLE_DEVICES and NVIDIA_DRIVER_CAPABILITIES itself.
  devicePlugin.runtimeClassName: Set `runtimeClassName`. It applies to gfd, gpu-device-plugin, gpu-exporter, mig-manager and gpu-validator.
  gfd.runtimeClassName: Set `runtimeClassName`. It applies to gfd, gpu-device-plugin, gpu-exporter, mig-manager and gpu-validator.
  legacyDaemonsetAPI: Kubernetes 1.16 removed this API. Remove the value.
  nameOverride: Names are fixed, because two installations would label the same nodes. Remove the value.
  fullnameOverride: Names are fixed, because two installations would label the same nodes. Remove the value.
  namespaceOverride: 'The namespace is the namespace of the release: `helm --namespace`. Remove the value.'
  gfd.namespaceOverride: 'The namespace is the namespace of the release: `helm --namespace`. Remove the value.'
  nfd.priorityClassName: Set `priorityClassName`. It applies to all agents.
  nfd.deploy: Set `nfd.enabled`.
  nfd.worker.config: Set `nfd.config`. It is nfd-worker.conf.
  nfd.worker.options: Set `nfd.config`. It is nfd-worker.conf.
  nfd.worker.nodeSelector: Set `nfd.nodeSelector`.
  nfd.worker.affinity: Set `nfd.affinity`.
  nfd.worker.extraArgs: Set `nfd.extraArgs`.
  nfd.worker.extraEnvs: Set `nfd.extraEnv`.
  nfd.master.config: Set `nfd.config`. Its extraLabelNs becomes `nfd.extraLabelNs`. docs/how-to/migrate.md lists its keys.
  nfd.master.enableTaints: Set `nfd.enableTaints`.
  nfd.master.extraLabelNs: Set `nfd.extraLabelNs`.
  nfd.master.denyLabelNs: Set `nfd.denyLabelNs`.
  nfd.master.extraArgs: Set `nfd.extraArgs`.
  nfd.master.extraEnvs: Set `nfd.extraEnv`.
  nfd.master.instance: This chart installs one instance for each cluster.
  nfd.tls: Set `metrics.tlsSecret`. There is no connection between a worker and a master.
  nfd.prometheus: Set `prometheus`.
  nfd.topologyUpdater: Set `topologyUpdater`.
  nfd.gc: Set `gc`.
  nfd.featureGates: Set `featureGates`.
  mig: Set `migStrategy`.
  hostPaths: Set `nvidiaDriverRoot` to the folder of the driver, for example /run/nvidia/driver.
  daemonsets: Set `tolerations`, `priorityClassName`, `updateStrategy`, `podLabels` and `podAnnotations`.
  operator.runtimeClass: Set `runtimeClassName`. It applies to gfd, gpu-device-plugin, gpu-exporter, mig-manager and gpu-validator.
  nfd.nodefeaturerules: 'Create the NodeFeatureRules yourself: they are objects of the cluster.'
  devicePlugin.args: Set `devicePlugin.extraArgs`.
  devicePlugin.env: Set `devicePlugin.extraEnv`.
  devicePlugin.mps: Set `mps.root`.
  devicePlugin.config: Set `config.name` or `config.map`, and `config.default`.
  gfd.args: Set `gfd.extraArgs`.
  gfd.env: Set `gfd.extraEnv`.
  dcgmExporter.args: Set `dcgmExporter.extraArgs`.
  dcgmExporter.env: Set `dcgmExporter.extraEnv`.
  dcgmExporter.tolerations: Set `tolerations`. It applies to all agents.
  dcgmExporter.updateStrategy: Set `updateStrategy.type`. It applies to all agents.
  dcgmExporter.affinity: Set `affinity`. It applies to gfd, gpu-device-plugin, gpu-exporter, mig-manager and gpu-validator.
  dcgmExporter.config.create: Create the ConfigMap yourself, with the file dcgm-metrics.csv, and set `dcgmExporter.config.name`.
  dcgmExporter.config.data: Create the ConfigMap yourself, with the file dcgm-metrics.csv, and set `dcgmExporter.config.name`.
  migManager.args: Set `migManager.extraArgs`.
  migManager.env: Set `migManager.extraEnv`.
  migManager.tolerations: Set `tolerations`. It applies to all agents.
  migManager.updateStrategy: Set `updateStrategy.type`. It applies to all agents.
  migManager.affinity: Set `affinity`. It applies to gfd, gpu-device-plugin, gpu-exporter, mig-manager and gpu-validator.
  migManager.config.create: Create the ConfigMap yourself, with config files of mig-parted, and set `migManager.config.name`.
  migManager.config.data: Create the ConfigMap yourself, with config files of mig-parted, and set `migManager.config.name`.
  toolkit.args: Set `toolkit.extraArgs`.
  toolkit.env: Set `toolkit.extraEnv`.
  toolkit.tolerations: Set `tolerations`. It applies to all agents.
  toolkit.updateStrategy: Set `updateStrategy.type`. It applies to all agents.
  toolkit.affinity: Set `affinity`. It applies to gfd, gpu-device-plugin, gpu-exporter, mig-manager and gpu-validator.
  validator.args: The validator of the GPU Operator stays there. gpu-validator, with `validator.enabled`, has its own flags.
  validator.cuda: The validator of the GPU Operator stays there. gpu-validator, with `validator.enabled`, has its own flags.
  validator.driver: The validator of the GPU Operator stays there. gpu-validator, with `validator.enabled`, has its own flags.
  validator.env: The validator of the GPU Operator stays there. gpu-validator, with `validator.enabled`, has its own flags.
  validator.hostNetwork: The validator of the GPU Operator stays there. gpu-validator, with `validator.enabled`, has its own flags.
  validator.plugin: The validator of the GPU Operator stays there. gpu-validator, with `validator.enabled`, has its own flags.
  validator.toolkit: The validator of the GPU Operator stays there. gpu-validator, with `validator.enabled`, has its own flags.
  driver.useOpenKernelModules: Set `driver.kernelModuleType`.
  driver.rdma: The controller of drivers does not support it.
  driver.licensingConfig: The controller of drivers does not support it.
  driver.virtualTopology: The controller of drivers does not support it.
  ccManager: This part stays in the GPU Operator. Set it there.
  clusterPolicy: This part stays in the GPU Operator. Set it there.
  dcgm: This part stays in the GPU Operator. Set it there.
  draDriver: This part stays in the GPU Operator. Set it there.
  extraObjects: This part stays in the GPU Operator. Set it there.
  fabricManager: This part stays in the GPU Operator. Set it there.
  gdrcopy: This part stays in the GPU Operator. Set it there. For containers that use GDRCopy, set `gdrcopyEnabled`.
  gds: This part stays in the GPU Operator. Set it there. For containers that use GPUDirect Storage, set `gdsEnabled`.
  gpuCluster: This part stays in the GPU Operator. Set it there.
  kataManager: This part stays in the GPU Operator. Set it there.
  kataSandboxDevicePlugin: This part stays in the GPU Operator. Set it there.
  nodeStatusExporter: This part stays in the GPU Operator. Set it there.
  platform: This part stays in the GPU Operator. Set it there.
  psa: This part stays in the GPU Operator. Set it there.
  psp: This part stays in the GPU Operator. Set it there.
  sandboxDevicePlugin: This part stays in the GPU Operator. Set it there.
  sandboxWorkloads: This part stays in the GPU Operator. Set it there.
  vfioManager: This part stays in the GPU Operator. Set it there.
  vgpuDeviceManager: This part stays in the GPU Operator. Set it there.
  vgpuManager: This part stays in the GPU Operator. Set it there.
  node-feature-discovery: Set `nfd.config` to its `worker.config`, and `nfd.enableTaints`, `nfd.extraLabelNs`, `nfd.denyLabelNs`.
  worker.config: Set `nfd.config`. It is nfd-worker.conf.
  worker.options: Set `nfd.config`. It is nfd-worker.conf.
  worker.nodeSelector: Set `nfd.nodeSelector`.
  worker.affinity: Set `nfd.affinity`.
  worker.extraArgs: Set `nfd.extraArgs`.
  worker.extraEnvs: Set `nfd.extraEnv`.
  master.config: Set `nfd.config`. Its extraLabelNs becomes `nfd.extraLabelNs`. docs/how-to/migrate.md lists its keys.
  master.enableTaints: Set `nfd.enableTaints`.
  master.extraLabelNs: Set `nfd.extraLabelNs`.
  master.denyLabelNs: Set `nfd.denyLabelNs`.
  master.extraArgs: Set `nfd.extraArgs`.
  master.extraEnvs: Set `nfd.extraEnv`.
  master.instance: This chart installs one instance for each cluster.
  topologyUpdater.extraEnvs: Set `topologyUpdater.extraEnv`.
  topologyUpdater.annotations: Set `podAnnotations`. It applies to all agents.
  topologyUpdater.tolerations: Set `tolerations`. The default of `tolerations`, which applies to all agents, tolerates every taint.
  topologyUpdater.podSecurityContext: Set `securityContext` in the section of each agent.
  featureGates.DisableAutoPrefix: A name without a namespace always gets feature.node.kubernetes.io/. Write the namespace in the rule.
  tls: Set `metrics.tlsSecret`. There is no connection between a worker and a master.
ignored:
  failOnInitError: An agent without a driver continues and tries again.
  mps.enableHostPID: The device plugin starts the MPS daemons itself.
  devicePlugin.enableHostNetwork: The pods use the network of pods.
  gfd.enableHostNetwork: The pods use the network of pods.
  mps.enableHostNetwork: The pods use the network of pods.
  selectorLabelsOverride: The labels of pods are fixed.
  componentSelectorLabels: The labels of pods are fixed.
  allowDefaultNamespace: Every namespace is allowed.
  gfd.nameOverride: Names are fixed, because two installations would label the same nodes.
  gfd.fullnameOverride: Names are fixed, because two installations would label the same nodes.
  nfd.image: All agents use the image of `image` and `imagePullSecrets`.
  nfd.imagePullSecrets: All agents use the image of `image` and `imagePullSecrets`.
  nfd.nameOverride: Names are fixed, because two installations would label the same nodes.
  nfd.fullnameOverride: Names are fixed, because two installations would label the same nodes.
  nfd.namespaceOverride: 'The namespace is the namespace of the release: `helm --namespace`.'
  nfd.worker: The section nfd has defaults for the values of the worker that have no counterpart.
  nfd.master: Each nfd-lite evaluates the rules and labels its own Node.
  nfd.topologyGC: Labels and NodeFeature objects belong to their Node.
  nfd.enableNodeFeatureApi: 'Labels are written to the Node. `publish: node-feature` writes NodeFeature objects.'
  nfd.nodeFeatureRule: Helm installs the CRDs, except with `--skip-crds`.
  nfd.checksumValuesOnly: The agents read changed ConfigMaps without a restart.
  nfd.postDeleteCleanup: '`cleanup.enabled` removes what the agents wrote.'
  operator.image: All agents use the image of `image` and `imagePullSecrets`.
  operator.imagePullPolicy: All agents use the image of `image` and `imagePullSecrets`.
  operator.imagePullSecrets: All agents use the image of `image` and `imagePullSecrets`.
  operator.repository: All agents use the image of `image` and `imagePullSecrets`.
  operator.version: All agents use the image of `image` and `imagePullSecrets`.
  operator.initContainer: All agents use the image of `image` and `imagePullSecrets`.
  operator.upgradeCRD: 'Helm does not change CRDs: apply manifests/crds before an upgrade.'
  operator.cleanupCRD: Helm does not delete CRDs.
  operator.annotations: The controller of drivers does not need it.
  operator.cleanupOnDelete: The controller of drivers does not need it.
  operator.defaultGPUMode: The controller of drivers does not need it.
  operator.defaultRuntime: The controller of drivers does not need it.
  operator.labels: The controller of drivers does not need it.
  operator.logging: The controller of drivers does not need it.
  operator.use_ocp_driver_toolkit: The controller of drivers does not need it.
  operator.priorityClassName: The controller of drivers does not need it.
  devicePlugin.image: All agents use the image of `image` and `imagePullSecrets`.
  devicePlugin.imagePullPolicy: All agents use the image of `image` and `imagePullSecrets`.
  devicePlugin.imagePullSecrets: All agents use the image of `image` and `imagePullSecrets`.
  devicePlugin.repository: All agents use the image of `image` and `imagePullSecrets`.
  devicePlugin.version: All agents use the image of `image` and `imagePullSecrets`.
  devicePlugin.hostNetwork: The pods use the network of pods.
  gfd.image: All agents use the image of `image` and `imagePullSecrets`.
  gfd.imagePullPolicy: All agents use the image of `image` and `imagePullSecrets`.
  gfd.imagePullSecrets: All agents use the image of `image` and `imagePullSecrets`.
  gfd.repository: All agents use the image of `image` and `imagePullSecrets`.
  gfd.version: All agents use the image of `image` and `imagePullSecrets`.
  gfd.hostNetwork: The pods use the network of pods.
  dcgmExporter.image: All agents use the image of `image` and `imagePullSecrets`.
  dcgmExporter.imagePullPolicy: All agents use the image of `image` and `imagePullSecrets`.
  dcgmExporter.imagePullSecrets: All agents use the image of `image` and `imagePullSecrets`.
  dcgmExporter.repository: All agents use the image of `image` and `imagePullSecrets`.
  dcgmExporter.version: All agents use the image of `image` and `imagePullSecrets`.
  dcgmExporter.hostNetwork: The pods use the network of pods.
  dcgmExporter.service: The Service gpu-exporter has the port 9400.
  migManager.image: All agents use the image of `image` and `imagePullSecrets`.
  migManager.imagePullPolicy: All agents use the image of `image` and `imagePullSecrets`.
  migManager.imagePullSecrets: All agents use the image of `image` and `imagePullSecrets`.
  migManager.repository: All agents use the image of `image` and `imagePullSecrets`.
  migManager.version: All agents use the image of `image` and `imagePullSecrets`.
  migManager.hostNetwork: The pods use the network of pods.
  migManager.config.default: A Node without the label nvidia.com/mig.config keeps its layouts.
  toolkit.image: All agents use the image of `image` and `imagePullSecrets`.
  toolkit.imagePullPolicy: All agents use the image of `image` and `imagePullSecrets`.
  toolkit.imagePullSecrets: All agents use the image of `image` and `imagePullSecrets`.
  toolkit.repository: All agents use the image of `image` and `imagePullSecrets`.
  toolkit.version: All agents use the image of `image` and `imagePullSecrets`.
  toolkit.hostNetwork: The pods use the network of pods.
  validator.image: All agents use the image of `image` and `imagePullSecrets`.
  validator.imagePullPolicy: All agents use the image of `image` and `imagePullSecrets`.
  validator.imagePullSecrets: All agents use the image of `image` and `imagePullSecrets`.
  validator.repository: All agents use the image of `image` and `imagePullSecrets`.
  validator.version: All agents use the image of `image` and `imagePullSecrets`.
  cdi.default: The device plugin uses CDI where the kubelet and the runtime support it. `deviceListStrategy` overrides that.
  cdi.enabled: The device plugin uses CDI where the kubelet and the runtime support it. `deviceListStrategy` overrides that.
  cdi.nriPluginEnabled: The device plugin uses CDI where the kubelet and the runtime support it. `deviceListStrategy` overrides that.
  driver.hostNetwork: The pods use the network of pods.
  driver.nvidiaDriverCRD: Drivers are always NVIDIADriver objects.
  worker: The section nfd has defaults for the values of the worker that have no counterpart.
  master: Each nfd-lite evaluates the rules and labels its own Node.
  topologyUpdater.createCRDs: Helm installs the CRDs, except with `--skip-crds`.
  topologyUpdater.hostNetwork: The pods use the network of pods.
  topologyUpdater.serviceAccount: The chart always creates the account and its rights.
  topologyUpdater.rbac: The chart always creates the account and its rights.
  topologyUpdater.metricsPort: The agents have fixed ports.
  topologyUpdater.healthPort: The agents have fixed ports.
  topologyUpdater.port: The agents have fixed ports.
  topologyUpdater.livenessProbe: The chart has probes and a DNS policy of its own.
  topologyUpdater.readinessProbe: The chart has probes and a DNS policy of its own.
  topologyUpdater.dnsPolicy: The chart has probes and a DNS policy of its own.
  topologyUpdater.revisionHistoryLimit: The DaemonSets have the defaults of Kubernetes.
  topologyUpdater.daemonsetAnnotations: The DaemonSets have the defaults of Kubernetes.
  gc.affinity: The section operator has the values of the Deployment.
  gc.annotations: The section operator has the values of the Deployment.
  gc.deploymentAnnotations: The section operator has the values of the Deployment.
  gc.dnsPolicy: The section operator has the values of the Deployment.
  gc.extraArgs: The section operator has the values of the Deployment.
  gc.extraEnvs: The section operator has the values of the Deployment.
  gc.healthPort: The section operator has the values of the Deployment.
  gc.hostNetwork: The section operator has the values of the Deployment.
  gc.livenessProbe: The section operator has the values of the Deployment.
  gc.metricsPort: The section operator has the values of the Deployment.
  gc.nodeSelector: The section operator has the values of the Deployment.
  gc.podDisruptionBudget: The section operator has the values of the Deployment.
  gc.podSecurityContext: The section operator has the values of the Deployment.
  gc.port: The section operator has the values of the Deployment.
  gc.priorityClassName: The section operator has the values of the Deployment.
  gc.rbac: The section operator has the values of the Deployment.
  gc.readinessProbe: The section operator has the values of the Deployment.
  gc.replicaCount: The section operator has the values of the Deployment.
  gc.resources: The section operator has the values of the Deployment.
  gc.revisionHistoryLimit: The section operator has the values of the Deployment.
  gc.securityContext: The section operator has the values of the Deployment.
  gc.serviceAccount: The section operator has the values of the Deployment.
  gc.tolerations: The section operator has the values of the Deployment.
  featureGates.NodeFeatureAPI: '`publish: node-feature` writes NodeFeature objects.'
  topologyGC: Labels and NodeFeature objects belong to their Node.
  enableNodeFeatureApi: 'Labels are written to the Node. `publish: node-feature` writes NodeFeature objects.'
  nodeFeatureRule: Helm installs the CRDs, except with `--skip-crds`.
  checksumValuesOnly: The agents read changed ConfigMaps without a restart.
  postDeleteCleanup: '`cleanup.enabled` removes what the agents wrote.'
{{- end }}
