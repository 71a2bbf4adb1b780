{{/*
One agent on each node. root: the top; name: of DaemonSet, account and container; section: its values; command, args: as of a container;
port: where it serves /healthz, /readyz and /metrics; sees: names of gpunode.volumes; nvml: whether it talks to GPUs; rootless: whether it
does without root, and so without the lock, whose folder is root's (a DaemonSet has one pod a node); once: whether it goes when it is done.
*/}}
{{- define "gpunode.daemonset" -}}
{{- $values := .root.Values }}
{{- $sees := .sees }}
{{- if or .nvml (not .rootless) }}{{ $sees = append .sees "lock" }}{{ end }}
{{- $tls := and $values.metrics.tlsSecret (not .once) }}
{{- if $tls }}{{ $sees = append $sees "tls" }}{{ end }}
{{- $volumes := include "gpunode.volumes" .root | fromYaml -}}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  {{- include "gpunode.metadata" . | nindent 2 }}
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: {{ .name }}
  {{- with $values.updateStrategy }}
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
      enableServiceLinks: false # variables that Kubernetes makes of Services could be taken for settings
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
      {{- with merge (dict) .section.nodeSelector $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
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
            {{- if .nvml }}
            # NVIDIA's container toolkit gives NVML its device nodes by these. Nothing waits for them.
            - name: NVIDIA_VISIBLE_DEVICES
              value: all
            - name: NVIDIA_DRIVER_CAPABILITIES
              value: utility
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
            {{- $merged := mergeOverwrite $context (.section.securityContext | default dict) }}
            {{- if eq (int $merged.runAsUser) 0 }}{{ $merged = omit $merged "runAsNonRoot" }}{{ end }}
            {{- toYaml $merged | nindent 12 }}
          {{- if has "dev" .sees }}
          terminationMessagePath: /termination-log # /dev is the host's
          {{- end }}
          volumeMounts:
            {{- range $name := $sees }}
            {{- $volume := get $volumes $name }}
            {{- range $index, $at := $volume.at }}
            - name: {{ $name }}{{ if and $volume.why (not $index) }} # {{ $volume.why }}{{ end }}
              mountPath: {{ $at }}
              {{- if or (not $volume.write) (and $.rootless (eq $name "lock")) }}
              readOnly: true
              {{- if and $volume.path (not $volume.write) (not $volume.propagation) }}
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

{{/* Without capabilities even root has no more than what root owns. */}}
{{- define "gpunode.securityContext" -}}
{{- if .rootless }}
runAsNonRoot: true
runAsUser: 65532
{{- else }}
runAsUser: 0
{{- end }}
readOnlyRootFilesystem: true
{{- if and .nvml .root.Values.privileged }}
privileged: true
{{- else }}
capabilities:
  drop: [ALL]
  {{- if and .nvml .root.Values.migMonitor }}
  add: [SYS_ADMIN]
  {{- end }}
{{- if not (and .nvml .root.Values.migMonitor) }}
allowPrivilegeEscalation: false
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- end }}
