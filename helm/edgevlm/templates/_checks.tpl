{{/* What no schema says well: values that do not go together. Each ends in one sentence. */}}

{{- define "edgevlm.check" -}}
{{- $model := .Values.model -}}
{{- if not (or .Values.apiKeys.existingSecret .Values.openToNetworkWithoutKeys) -}}
{{- fail "Everyone on the network could use this server: set apiKeys.existingSecret, or openToNetworkWithoutKeys if that is what you want." -}}
{{- end -}}
{{- if and .Values.apiKeys.existingSecret .Values.openToNetworkWithoutKeys -}}
{{- fail "apiKeys.existingSecret and openToNetworkWithoutKeys contradict each other: choose one." -}}
{{- end -}}
{{- if eq $model.source "demo" -}}
{{- if include "edgevlm.jetson" . -}}
{{- fail "The demo model runs on cpu and cuda only: choose another model.source or another device." -}}
{{- end -}}
{{- if or $model.path $model.volume.existingClaim $model.volume.hostPath -}}
{{- fail "model.path and model.volume are for a bundle or a checkpoint: set model.source to one of them." -}}
{{- end -}}
{{- else -}}
{{- if not $model.path -}}
{{- fail (printf "model.source is %s: model.path must name its folder." $model.source) -}}
{{- end -}}
{{- if has ".." (splitList "/" (printf "%s/%s" $model.path $model.export.visionTower)) -}}
{{- fail "model.path and model.export.visionTower must stay inside the volume." -}}
{{- end -}}
{{- if eq (empty $model.volume.existingClaim) (empty $model.volume.hostPath) -}}
{{- fail "The model needs one volume: set either model.volume.existingClaim or model.volume.hostPath." -}}
{{- end -}}
{{- end -}}
{{- if and (ne $model.source "checkpoint") (or $model.export.visionTower $model.export.precision $model.export.visionPrecision $model.export.name) -}}
{{- fail "model.export is for a checkpoint: set model.source to checkpoint." -}}
{{- end -}}
{{- if and .Values.service.nodePort (eq .Values.service.type "ClusterIP") -}}
{{- fail "service.nodePort is for NodePort and LoadBalancer: set service.type to one of them." -}}
{{- end -}}
{{- if and .Values.ingress.tlsSecret (not .Values.ingress.host) -}}
{{- fail "ingress.tlsSecret is for one host: set ingress.host." -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs must name a gateway." -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.apiKeys.existingSecret (not (or .Values.serviceMonitor.keySecret .Values.settings.metricsPort)) -}}
{{- fail "Metrics need a key too: set serviceMonitor.keySecret, or settings.metricsPort." -}}
{{- end -}}
{{- if eq (int .Values.settings.metricsPort) 8000 -}}
{{- fail "settings.metricsPort is 8000, the server's own: choose another." -}}
{{- end -}}
{{- range list "imageHosts" "otlpEndpoint" -}}
{{- if and (get $.Values.settings .) $.Values.networkPolicy.enabled (not $.Values.networkPolicy.egress) -}}
{{- fail (printf "settings.%s needs a way out: set networkPolicy.egress." .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.keda.enabled (not .Values.keda.prometheus) -}}
{{- fail "keda.prometheus must be the address of Prometheus." -}}
{{- end -}}
{{- if and .Values.keda.enabled (gt (int .Values.keda.minReplicas) (int .Values.keda.maxReplicas)) -}}
{{- fail "keda.minReplicas is more than keda.maxReplicas." -}}
{{- end -}}
{{- end -}}
