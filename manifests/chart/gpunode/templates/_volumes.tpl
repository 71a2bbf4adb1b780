{{/*
All that an agent sees of the host, by name: where it is there, where it is here, and why. `write`: what is not read-only.
propagation: what is mounted on the host later is seen too. A host path without a type may be missing on some hosts.
*/}}
{{- define "gpunode.volumes" -}}
proc: {path: /proc, at: [/host/proc], type: Directory, why: "kernel, modules, CPUs; which device nodes MIG devices need"}
sys: {path: /sys, at: [/host/sys], type: Directory, why: "PCI, USB, network, memory, DMI"}
os-release: {path: /etc/os-release, at: [/host/etc/os-release], type: File}
boot: {path: /boot, at: [/host/boot], why: "the kernel's config"}
lib-modules: {path: /lib/modules, at: [/host/lib/modules, /host/usr/lib/modules], why: "built-in modules, and the kernel's config on some hosts"}
feature-discovery:
  path: /etc/kubernetes/node-feature-discovery
  at: [/host/etc/kubernetes/node-feature-discovery]
  type: DirectoryOrCreate
  propagation: true
  why: "feature files (features.d) and rules (custom.d) of other programs and of people"
driver-root: {path: {{ .Values.nvidiaDriverRoot }}, at: [/driver-root], type: DirectoryOrCreate, propagation: true, why: "the driver's libraries, programs and nodes, which containers are given"}
dev: {path: /dev, at: [/dev, /host/dev], type: Directory, write: true, propagation: true, why: "nodes that come after the pod has started, and those that go"}
device-plugins: {path: {{ .Values.kubeletRootDir }}/device-plugins, at: [/var/lib/kubelet/device-plugins], type: Directory, write: true, why: "the kubelet's socket and ours"}
pod-resources: {path: {{ .Values.kubeletRootDir }}/pod-resources, at: [/var/lib/kubelet/pod-resources], type: DirectoryOrCreate, why: "which pods have a GPU that fails"}
cdi: {path: {{ .Values.cdi.dir }}, at: [/var/run/cdi], type: DirectoryOrCreate, write: true, why: "our CDI specs, for the container runtime"}
lock: {path: /run/gpunode, at: [/run/gpunode], type: DirectoryOrCreate, write: true, why: "the lock that keeps a second plugin off the node; what Xids did; requests of gpunode release"}
mps: {path: {{ .Values.mps.root | default "" | quote }}, at: [/mps], type: DirectoryOrCreate, write: true, why: "pipes and logs of MPS daemons"}
mps-shm: {path: {{ .Values.mps.root }}/shm, at: [/dev/shm], type: DirectoryOrCreate, write: true, why: "what MPS clients share with their daemon"}
configs: {configMap: {{ .Values.config.name | default "gpunode-configs" }}, at: [/etc/gpunode/configs]}
tls: {secret: {{ .Values.metrics.tlsSecret | default "" | quote }}, at: [/etc/gpunode/tls]}
nfd-worker: {configMap: nfd-lite-config, at: [/etc/gpunode/nfd-worker]}
{{- end }}

{{/* Names of what each kind of agent sees, as JSON. */}}
{{- define "gpunode.sees.nfd" -}}
{{- $seen := list "proc" "sys" "os-release" }}
{{- if .Values.nfd.mountBoot }}{{ $seen = append $seen "boot" }}{{ end }}
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
{{- if .Values.mps.root }}{{ $seen = append $seen "mps" | concat (list "mps-shm") }}{{ end }}
{{- toJson $seen }}
{{- end }}
