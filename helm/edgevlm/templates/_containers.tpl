{{/* What all containers of a server's pod share, and what each is told. */}}

{{/* Settings as environment variables; `only` names those that the command reads. */}}
{{- define "edgevlm.settings" -}}
{{- $only := .only -}}
{{- range $name, $value := .settings }}
{{- if and (not (kindIs "invalid" $value)) (or (not $only) (has $name $only)) }}
{{- /* numbers come out of YAML as floats, and a large one would be written with an exponent */ -}}
{{- $whole := and (kindIs "float64" $value) (eq (floor $value) $value) }}
- name: EDGEVLM_{{ $name | snakecase | upper }}
  value: {{ ternary ($value | int64) $value $whole | toString | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "edgevlm.environment" -}}
- name: HOME
  value: /tmp
- name: XDG_CACHE_HOME
  value: {{ include "edgevlm.state" . }}/cache
{{- if include "edgevlm.jetson" . }}
- name: EDGEVLM_PLANS
  value: {{ include "edgevlm.state" . }}/plans
{{- end }}
{{- if and (ne .Values.device "cpu") (not .Values.gpu.resource) }}
- name: NVIDIA_VISIBLE_DEVICES
  value: all
- name: NVIDIA_DRIVER_CAPABILITIES
  value: compute,utility
{{- end }}
{{- end -}}

{{- define "edgevlm.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "edgevlm.pod.security" -}}
runAsNonRoot: true
runAsUser: {{ .Values.runAsUser }}
runAsGroup: {{ .Values.runAsUser }}
fsGroup: {{ .Values.runAsUser }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* The GPU of a device plugin too: containers that run one after the other share what they ask for. */}}
{{- define "edgevlm.resources" -}}
{{- $resources := deepCopy .Values.resources -}}
{{- if and (ne .Values.device "cpu") .Values.gpu.resource -}}
{{- $limits := merge (dict .Values.gpu.resource 1) ($resources.limits | default dict) -}}
{{- $_ := set $resources "limits" $limits -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{- define "edgevlm.mounts" -}}
- name: state
  mountPath: {{ include "edgevlm.state" . }}
- name: tmp
  mountPath: /tmp
{{- if ne .Values.model.source "demo" }}
- name: models
  mountPath: /models
  readOnly: true
{{- end }}
{{- if and (include "edgevlm.jetson" .) .Values.gpu.releaseFile }}
- name: release
  mountPath: /etc/nv_tegra_release
  readOnly: true
{{- end }}
{{- end -}}

{{- define "edgevlm.container" -}}
image: {{ include "edgevlm.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "edgevlm.security" . | nindent 2 }}
resources:
  {{- include "edgevlm.resources" . | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
{{- end -}}

{{- define "edgevlm.export.args" -}}
{{- $export := .Values.model.export -}}
- export
- --if-absent
- --device
- {{ .Values.device }}
{{- with $export.visionTower }}
- --vision-tower
- {{ printf "/models/%s" . | clean | quote }}
{{- end }}
{{- with $export.precision }}
- --precision
- {{ . }}
{{- end }}
{{- with $export.visionPrecision }}
- --vision-precision
- {{ . }}
{{- end }}
{{- with $export.name }}
- {{ printf "--name=%s" . | quote }}
{{- end }}
- {{ include "edgevlm.mounted" . | quote }}
- {{ include "edgevlm.bundle" . | quote }}
{{- end -}}

{{- define "edgevlm.build.args" -}}
- build
{{- with .Values.build.workspace }}
- --workspace
- {{ . | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.build.level) }}
- --level
- {{ .Values.build.level | quote }}
{{- end }}
- {{ include "edgevlm.bundle" . | quote }}
{{- end -}}

{{- define "edgevlm.serve.args" -}}
- serve
- --host
- 0.0.0.0
- --port
- "8000"
{{- if .Values.apiKeys.existingSecret }}
- --api-keys
- {{ printf "/etc/edgevlm/keys/%s" .Values.apiKeys.file | quote }}
{{- else }}
- --open-to-network-without-keys
{{- end }}
{{- if .Values.tls.existingSecret }}
- --tls-cert
- /etc/edgevlm/tls/tls.crt
- --tls-key
- /etc/edgevlm/tls/tls.key
{{- end }}
{{- if .Values.stations.existingConfigMap }}
- --stations
- /etc/edgevlm/stations
{{- end }}
{{- with include "edgevlm.bundle" . }}
- {{ . | quote }}
{{- end }}
{{- end -}}
