{{/* What things are called and where they are: names, labels, image, folders of the container. */}}

{{- define "edgevlm.fullname" -}}
{{- /* 40 letters leave room for what the cluster appends: a label's value has at most 63 */ -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "edgevlm.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "edgevlm.test.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end -}}

{{- define "edgevlm.common" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "edgevlm.labels" -}}
{{ include "edgevlm.common" . }}
{{ include "edgevlm.selector" . }}
{{- end -}}

{{- define "edgevlm.image" -}}
{{- $images := dict "jetpack6" "jetson-jp6" "jetpack7" "jetson-jp7" -}}
{{- $image := get $images .Values.device | default .Values.device -}}
{{- $tag := .Values.image.tag | default (printf "%s-%s" .Chart.AppVersion $image) -}}
{{ printf "%s:%s" .Values.image.repository $tag }}
{{- end -}}

{{- define "edgevlm.jetson" -}}
{{- if hasPrefix "jetpack" .Values.device }}yes{{ end -}}
{{- end -}}

{{- define "edgevlm.state" -}}/var/lib/edgevlm{{- end -}}

{{- define "edgevlm.mounted" -}}
{{- printf "/models/%s" .Values.model.path | clean -}}
{{- end -}}

{{/* The folder that is served; nothing for the demo model. Other options of the exporter are another bundle. */}}
{{- define "edgevlm.bundle" -}}
{{- if eq .Values.model.source "bundle" -}}
{{- include "edgevlm.mounted" . -}}
{{- else if eq .Values.model.source "checkpoint" -}}
{{- $model := dict "device" .Values.device "path" .Values.model.path "export" .Values.model.export -}}
{{- /* a bundle belongs to the version that made it, and an upgrade must not meet another's */ -}}
{{- $model = merge $model (dict "version" .Chart.AppVersion "revision" .Values.model.revision) -}}
{{- printf "%s/bundles/%s-%s" (include "edgevlm.state" .) (base .Values.model.path) ($model | toJson | sha256sum | trunc 8) -}}
{{- end -}}
{{- end -}}

{{/* How to speak to the server. */}}
{{- define "edgevlm.scheme" -}}
{{ ternary "http" "https" (empty .Values.tls.existingSecret) }}
{{- end -}}
