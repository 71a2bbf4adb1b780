{{/*
The volumes of the agents by name. path: on the host; at: in the container; why: a comment; write: writable; propagation: later mounts of the
host also appear in the container. A host path without a type may be missing on some hosts.
*/}}
{{- define "gpunode.volumes" -}}
proc: {path: /proc, at: [/host/proc], type: Directory, why: "kernel, modules, CPUs; device nodes of MIG devices"}
host: {path: /, at: [/host], type: Directory, write: true, propagation: true, why: "the files, the socket and the programs of the container runtime"}
sys: {path: /sys, at: [/host/sys], type: Directory, why: "PCI, USB, network, memory, DMI"}
os-release: {path: /etc/os-release, at: [/host/etc/os-release], type: File}
boot: {path: /boot, at: [/host/boot], why: "the kernel config"}
lib-modules: {path: /lib/modules, at: [/host/lib/modules{{ if not (include "gpunode.labelsDriver" .) }}, /host/usr/lib/modules{{ end }}], why: "built-in modules, and the kernel config on some hosts"}
usr: {path: /usr, at: [/host/usr], type: Directory, why: "whether the host has an NVIDIA driver of its own"}
feature-discovery:
  path: /etc/kubernetes/node-feature-discovery
  at: [/host/etc/kubernetes/node-feature-discovery]
  type: DirectoryOrCreate
  propagation: true
  why: "feature files (features.d) and rules (custom.d)"
driver-root: {path: {{ .Values.nvidiaDriverRoot }}, at: [/driver-root], type: DirectoryOrCreate, propagation: true, why: "the driver's libraries, programs and device nodes for containers"}
dev: {path: /dev, at: [/dev, /host/dev], type: Directory, write: true, propagation: true, why: "device nodes, including nodes that change after the pod has started"}
device-plugins: {path: /var/lib/kubelet/device-plugins, at: [/var/lib/kubelet/device-plugins], type: Directory, write: true, why: "the sockets of the kubelet and of the device plugin; the UIDs of pods with devices"}
pod-resources: {path: {{ .Values.kubeletRootDir }}/pod-resources, at: [/var/lib/kubelet/pod-resources], type: DirectoryOrCreate, why: "the pods that have GPUs"}
cdi: {path: {{ .Values.cdi.dir }}, at: [/var/run/cdi], type: DirectoryOrCreate, write: true, why: "CDI specifications for the container runtime"}
{{- with .Values.cdi.nvidiaHookPath }}
hook: {path: {{ dir . }}, at: [/host{{ dir . }}], why: "the hooks that NVIDIA's hook program has"}
{{- end }}
lock: {path: /run/gpunode, at: [/run/gpunode], type: DirectoryOrCreate, write: true, why: "the lock against a second agent; health state; requests of gpunode release"}
mps: {path: {{ .Values.mps.root | default "" | quote }}, at: [/mps], type: DirectoryOrCreate, write: true, why: "pipes and logs of MPS daemons"}
mps-shm: {path: {{ .Values.mps.root }}/shm, at: [/dev/shm], type: DirectoryOrCreate, write: true, why: "memory that MPS clients share with their daemon"}
dra-mps: {path: {{ .Values.mps.root }}/dra, at: [/mps], type: DirectoryOrCreate, write: true, why: "pipes and logs of the MPS daemons of claims"}
dra-mps-shm: {path: {{ .Values.mps.root }}/dra/shm, at: [/dev/shm], type: DirectoryOrCreate, write: true, why: "memory that MPS clients share with their daemon"}
configs: {configMap: {{ .Values.config.name | default "gpunode-configs" }}, at: [/etc/gpunode/configs]}
tls: {secret: {{ .Values.metrics.tlsSecret | default "" | quote }}, at: [/etc/gpunode/tls]}
counters: {configMap: {{ .Values.dcgmExporter.config.name | default "" | quote }}, at: [/etc/dcgm-exporter]}
nfd-topology: {configMap: nfd-lite-topology-config, at: [/etc/gpunode/nfd-topology]}
{{- with .Values.topologyUpdater }}
topology-pods: {path: {{ .kubeletPodResourcesSockPath | default (printf "%s/pod-resources/kubelet.sock" $.Values.kubeletRootDir) | dir }}, at: [/var/lib/kubelet/pod-resources], type: DirectoryOrCreate, why: "the CPUs, memory and devices of pods"}
kubelet-config: {path: {{ .kubeletConfigPath | default "" | quote }}, at: [/etc/gpunode/kubelet-config.yaml], type: File, why: "the policy of the topology manager"}
kubelet-state: {path: {{ .kubeletStateDir | default "" | quote }}, at: [/var/lib/kubelet], type: Directory, why: "the state files of the kubelet"}
{{- end }}
mig-configs: {configMap: {{ .Values.migManager.config.name | default "" | quote }}, at: [/etc/gpunode/mig-configs]}
mig-state: {path: /var/lib/gpunode, at: [/var/lib/gpunode], type: DirectoryOrCreate, write: true, why: "the record of a change"}
dra-plugin: {path: {{ .Values.kubeletRootDir }}/plugins/gpu.nvidia.com, at: [{{ .Values.kubeletRootDir }}/plugins/gpu.nvidia.com], type: DirectoryOrCreate, write: true, why: "the socket that the kubelet calls; the record of prepared claims"}
dra-registry: {path: {{ .Values.kubeletRootDir }}/plugins_registry, at: [{{ .Values.kubeletRootDir }}/plugins_registry], type: DirectoryOrCreate, write: true, why: "the socket by which the kubelet finds the driver"}
validations: {path: /run/nvidia/validations, at: [/run/nvidia/validations], type: DirectoryOrCreate, write: true, why: "the files for which pods of others wait"}
runtime: {path: {{ dir .Values.validator.runtimeSocket }}, at: [/run/runtime], why: "the socket of the container runtime"}
mig-clients: {configMap: {{ .Values.migManager.gpuClientsConfig.name | default "" | quote }}, at: [/etc/gpunode/mig-clients]}
nfd-worker: {configMap: nfd-lite-config, at: [/etc/gpunode/nfd-worker]}
{{- end }}

{{/* Returns a text if nfd-lite labels nodes whose host has a driver of its own. Only driver pods depend on this label. */}}
{{- define "gpunode.labelsDriver" -}}
{{- if (.Values.driver | default dict).enabled }}true{{ end }}
{{- end }}

{{/* The volume names of each agent, as JSON. */}}
{{- define "gpunode.sees.nfd" -}}
{{- $seen := list "proc" "sys" "os-release" }}
{{- if .Values.nfd.mountBoot }}{{ $seen = append $seen "boot" }}{{ end }}
{{- if include "gpunode.labelsDriver" . }}{{ $seen = append $seen "usr" }}{{ end }}
{{- $seen = concat $seen (list "lib-modules" "feature-discovery") }}
{{- if .Values.nfd.config }}{{ $seen = append $seen "nfd-worker" }}{{ end }}
{{- toJson $seen }}
{{- end }}

{{- define "gpunode.sees.nvidia" -}}
{{- $seen := list "sys" "driver-root" }}
{{- if .Values.privileged }}{{ $seen = append $seen "dev" }}{{ end }}
{{- if or .Values.config.map .Values.config.name }}{{ $seen = append $seen "configs" }}{{ end }}
{{- toJson $seen }}
{{- end }}

{{- define "gpunode.sees.plugin" -}}
{{- $seen := list "proc" "device-plugins" "pod-resources" "cdi" }}
{{- $hook := .Values.cdi.nvidiaHookPath | default "" | dir }}
{{- if not (or (has $hook (list "." "/")) (not (hasPrefix "/" $hook)) (eq .Values.nvidiaDriverRoot "/")) }}{{ $seen = append $seen "hook" }}{{ end }}
{{- if .Values.mps.root }}{{ $seen = append $seen "mps" | concat (list "mps-shm") }}{{ end }}
{{- toJson $seen }}
{{- end }}

{{/* The folder of the kubelet contains the Secrets of pods, so it is mounted only on request. The control groups of pods are in /sys. */}}
{{- define "gpunode.sees.topology" -}}
{{- $seen := list "sys" "device-plugins" "topology-pods" }}
{{- with .Values.topologyUpdater }}
{{- if .kubeletStateDir }}{{ $seen = prepend $seen "kubelet-state" }}{{ end }}
{{- if .kubeletConfigPath }}{{ $seen = append $seen "kubelet-config" }}{{ end }}
{{- if .config }}{{ $seen = append $seen "nfd-topology" }}{{ end }}
{{- end }}
{{- toJson $seen }}
{{- end }}

{{- define "gpunode.sees.mig" -}}
{{- $seen := list "sys" "driver-root" "dev" "device-plugins" "pod-resources" "mig-state" }}
{{- if .Values.migManager.config.name }}{{ $seen = append $seen "mig-configs" }}{{ end }}
{{- if and .Values.migManager.stopHostServices .Values.migManager.gpuClientsConfig.name }}{{ $seen = append $seen "mig-clients" }}{{ end }}
{{- toJson $seen }}
{{- end }}

{{- define "gpunode.sees.dra" -}}
{{- $seen := list "proc" "sys" "driver-root" "dra-plugin" "dra-registry" "cdi" }}
{{- if or .Values.privileged .Values.dra.dynamicMIG }}{{ $seen = append $seen "dev" }}{{ end }}
{{- $hook := .Values.cdi.nvidiaHookPath | default "" | dir }}
{{- if not (or (has $hook (list "." "/")) (not (hasPrefix "/" $hook)) (eq .Values.nvidiaDriverRoot "/")) }}{{ $seen = append $seen "hook" }}{{ end }}
{{- if .Values.mps.root }}{{ $seen = append $seen "dra-mps" | concat (list "dra-mps-shm") }}{{ end }}
{{- toJson $seen }}
{{- end }}

{{- define "gpunode.sees.validator" -}}
{{- toJson (list "proc" "sys" "driver-root" "dev" "device-plugins" "pod-resources" "cdi" "validations" "runtime") }}
{{- end }}

{{- define "gpunode.sees.exporter" -}}
{{- $seen := list "device-plugins" "pod-resources" }}
{{- if .Values.dcgmExporter.config.name }}{{ $seen = append $seen "counters" }}{{ end }}
{{- toJson $seen }}
{{- end }}
