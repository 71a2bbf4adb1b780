{{/*
The DaemonSet of one agent. root: the root context; name: of DaemonSet, account and container; section: the values of the agent; command,
args: of the container; port: of /healthz, /readyz and /metrics; gpuMetrics: whether it exports metrics of GPUs, on another port; sees: names of gpunode.volumes; nvml: whether the agent uses NVML; rootless:
whether the agent runs without root, and therefore without the lock, because root owns its folder (a DaemonSet has one pod on each node);
once: whether the pods are temporary; changesMig: whether the agent changes MIG layouts; changesHost: whether the agent changes files of the host and runs programs of the host; validates: whether the agent runs a kernel and
starts a container; readsPlugins: whether the agent only reads the kubelet's folder of device plugins; hasAddress: whether
the pod knows the address of its node; overlaps: whether two pods may run on a node during an update, and need the UID of their pod.
*/}}
{{- define "gpunode.daemonset" -}}
{{- $values := .root.Values }}
{{- $sees := .sees }}
{{- if or .nvml (not .rootless) }}{{ $sees = append .sees "lock" }}{{ end }}
{{- $tls := and $values.metrics.tlsSecret (not .once) }}
{{- if $tls }}{{ $sees = append $sees "tls" }}{{ end }}
{{- $volumes := include "gpunode.volumes" .root | fromYaml }}
{{- $recursive := semverCompare ">=1.30.0-0" .root.Capabilities.KubeVersion.Version -}}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  {{- include "gpunode.metadata" . | nindent 2 }}
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: {{ .name }}
  {{- with hasKey . "overlaps" | ternary (include "gpunode.updateStrategy" . | fromYaml) $values.updateStrategy }}
  updateStrategy:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {{ .name }}
        app.kubernetes.io/part-of: gpunode
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ .name }}
      {{- if .changesHost }}
      hostPID: true # the process of the container runtime: its program, config file and systemd unit
      {{- else if or .changesMig (and .gpuMetrics $values.dcgmExporter.hostPID) }}
      hostPID: true # NVML reports processes only in the PID namespace of the host
      {{- end }}
      enableServiceLinks: false # variables of Services could have the names of settings
      {{- if not .once }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- end }}
      {{- if .nvml }}
      {{- with $values.runtimeClassName }}
      runtimeClassName: {{ . }}
      {{- end }}
      {{- end }}
      {{- with $values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with include "gpunode.scheduling" . | trim }}
      {{- nindent 6 . }}
      {{- end }}
      containers:
        - name: {{ .name }}
          image: {{ $values.image.repository }}:{{ $values.image.tag | default .root.Chart.AppVersion }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          command: {{ toJson .command }}
          args:
            {{- concat (.args | fromYamlArray) (.rootless | ternary (list "--lock-dir=") list) .section.extraArgs | toYaml | nindent 12 }}
          env:
            - name: NODE_NAME
              valueFrom:
                fieldRef:
                  fieldPath: spec.nodeName
            {{- if .overlaps }}
            - name: POD_UID
              valueFrom:
                fieldRef:
                  fieldPath: metadata.uid
            {{- end }}
            {{- if .hasAddress }}
            - name: NODE_ADDRESS
              valueFrom:
                fieldRef:
                  fieldPath: status.hostIP
            {{- end }}
            {{- if .nvml }}
            # NVIDIA's container toolkit adds device nodes because of these variables. The pod starts also without the toolkit.
            - name: NVIDIA_VISIBLE_DEVICES
              value: all
            - name: NVIDIA_DRIVER_CAPABILITIES
              value: {{ if .validates }}compute,utility{{ else }}utility{{ end }}
            {{- if $values.migMonitor }}
            - name: NVIDIA_MIG_MONITOR_DEVICES
              value: all
            {{- end }}
            {{- end }}
            {{- with .section.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            - name: http
              containerPort: {{ .port }}
            {{- if .gpuMetrics }}
            - name: metrics
              containerPort: 9400
            {{- end }}
          livenessProbe:
            httpGet:
              path: /healthz
              port: http
              {{- if $tls }}
              scheme: HTTPS
              {{- end }}
            initialDelaySeconds: 10
            periodSeconds: 30
          readinessProbe:
            httpGet:
              path: /readyz
              port: http
              {{- if $tls }}
              scheme: HTTPS
              {{- end }}
            periodSeconds: 10
          {{- with .section.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- $context := include "gpunode.securityContext" . | fromYaml }}
          securityContext:
            {{- $merged := mergeOverwrite $context .section.securityContext }}
            {{- if eq (int $merged.runAsUser) 0 }}{{ $merged = omit $merged "runAsNonRoot" }}{{ end }}
            {{- toYaml $merged | nindent 12 }}
          terminationMessagePolicy: FallbackToLogsOnError # the status of the pod states why the agent ended
          {{- if has "dev" .sees }}
          terminationMessagePath: /termination-log # /dev is mounted from the host
          {{- end }}
          volumeMounts:
            {{- range $name := $sees }}
            {{- $volume := get $volumes $name }}
            {{- range $index, $at := $volume.at }}
            - name: {{ $name }}{{ if and $volume.why (not $index) }} # {{ $volume.why }}{{ end }}
              mountPath: {{ $at }}
              {{- if or (not $volume.write) (and $.rootless (eq $name "lock")) (and $.readsPlugins (eq $name "device-plugins")) (and $.validates (eq $name "cdi")) }}
              readOnly: true
              {{- if and $volume.path (or (not $volume.write) (has $name (list "device-plugins" "cdi"))) (not $volume.propagation) $recursive }}
              recursiveReadOnly: IfPossible
              {{- end }}
              {{- end }}
              {{- if $volume.propagation }}
              mountPropagation: HostToContainer
              {{- end }}
            {{- end }}
            {{- end }}
      volumes:
        {{- range $name := $sees }}
        {{- $volume := get $volumes $name }}
        - name: {{ $name }}
          {{- if $volume.configMap }}
          configMap:
            name: {{ $volume.configMap }}
          {{- else if $volume.secret }}
          secret:
            secretName: {{ $volume.secret }}
          {{- else }}
          hostPath:
            path: {{ $volume.path }}
            {{- with $volume.type }}
            type: {{ . }}
            {{- end }}
          {{- end }}
        {{- end }}
{{- end }}

{{/* The strategy of the user with a surge, or without: the speed is the same. */}}
{{- define "gpunode.updateStrategy" -}}
{{- $strategy := .root.Values.updateStrategy | default dict }}
{{- $rolling := $strategy.rollingUpdate | default dict }}
{{- $pods := $rolling.maxSurge | default $rolling.maxUnavailable | default 1 }}
{{- if and (or .overlaps $rolling.maxSurge) (ne ($strategy.type | default "") "OnDelete") }}
type: RollingUpdate
rollingUpdate:
  {{- if .overlaps }}
  maxSurge: {{ $pods }}
  maxUnavailable: 0
  {{- else }}
  maxUnavailable: {{ $pods }}
  {{- end }}
{{- else }}
{{- toYaml $strategy }}
{{- end }}
{{- end }}

{{/* Root without capabilities can access only files that root owns. */}}
{{- define "gpunode.securityContext" -}}
{{- $own := .section.securityContext }}
{{- $admin := or (and .nvml .root.Values.migMonitor) (has "SYS_ADMIN" (include "gpunode.listAt" (list $own "capabilities" "add") | fromYamlArray)) }}
{{- if .rootless }}
runAsNonRoot: true
runAsUser: 65532
{{- else }}
runAsUser: 0
{{- end }}
readOnlyRootFilesystem: true
{{- if or (and .nvml .root.Values.privileged) .changesMig .changesHost .validates (get $own "privileged") }}
privileged: true
{{- else }}
capabilities:
  drop: [ALL]
  {{- if $admin }}
  add: [SYS_ADMIN]
  {{- end }}
{{- if not $admin }}
allowPrivilegeEscalation: false
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- end }}
