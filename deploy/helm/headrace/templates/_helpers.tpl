{{- define "headrace.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "headrace.labels" -}}
app.kubernetes.io/name: headrace
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "headrace.selector" -}}
app.kubernetes.io/name: headrace
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The host by which the node of a number is reached inside of the Kubernetes cluster. */}}
{{- define "headrace.host" -}}
{{- $name := include "headrace.name" .root -}}
{{- printf "%s-%v.%s-nodes.%s.svc" $name .node $name .root.Release.Namespace -}}
{{- end -}}

{{/* The first voters, as id@host:port. */}}
{{- define "headrace.voters" -}}
{{- $voters := list -}}
{{- range $n := until (int .Values.firstVoters) -}}
{{- $voters = append $voters (printf "%d@%s:9092" $n (include "headrace.host" (dict "root" $ "node" $n))) -}}
{{- end -}}
{{- join "," $voters -}}
{{- end -}}
