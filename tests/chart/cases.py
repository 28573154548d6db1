"""Sets of values to render: each flag on and off, and the examples."""

from typing import Any

from tests.chart.helm import example

Values = dict[str, Any]

OPEN: Values = {"openToNetworkWithoutKeys": True}
KEYS: Values = {"apiKeys": {"existingSecret": "keys"}}
JETSON: Values = {
    **KEYS,
    "device": "jetpack6",
    "model": {"source": "bundle", "path": "v2", "volume": {"hostPath": "/srv/models"}},
}
CHECKPOINT: Values = {
    **KEYS,
    "device": "jetpack7",
    "model": {
        "source": "checkpoint",
        "path": "published/v1",
        "volume": {"existingClaim": "models"},
        "export": {"visionTower": "clip", "precision": "int8", "visionPrecision": "fp16", "name": "-odd name-"},
    },
    "build": {"workspace": "512M", "level": 0},
}
EVERY_SETTING: Values = {
    "allowedHosts": "vision.example,*",
    "rootPath": "/edgevlm",
    "trustedProxies": "10.0.0.2,10.42.0.0/16",
    "corsOrigins": "https://mes.example",
    "keepAlive": 30,
    "headTimeout": 10,
    "maxConnections": 500,
    "maxConnectionsPerAddress": 50,
    "imageTimeout": 2.5,
    "engine": "ort",
    "provider": "cpu",
    "threads": 2,
    "noCudaGraphs": True,
    "maxBatch": 3,
    "maxLength": 1_500_000,
    "maxQueue": 0,
    "maxImages": 2,
    "maxBody": "5M",
    "imageCache": "0",
    "prefixCache": "1.5G",
    "memory": "3Gi",
    "limitRequestsAtOnce": 4,
    "limitRequestsPerMinute": 60,
    "limitTokensPerMinute": 1_500_000,
    "limitPicturesKept": 20,
    "requestTimeout": 120.5,
    "drainTimeout": 12.5,
    "engineTimeout": 90,
    "minConfidence": 0.25,
    "metricsPort": 9090,
    "metricsClients": True,
    "metricsAliases": "vllm",
    "audit": "/var/lib/edgevlm/audit",
    "auditPictures": True,
    "auditDays": 7,
    "auditSize": "500M",
    "logLevel": "debug",
    "logFormat": "text",
    "imageHosts": "camera.example:8080,10.0.0.0/8",
    "otlpEndpoint": "http://10.0.0.9:4318",
    "noPage": True,
}

CASES: dict[str, Values] = {
    "open": OPEN,
    "keys": KEYS,
    "one-box": example("one-box"),
    "several-devices": example("several-devices"),
    "bundle on a Jetson": JETSON,
    "the server builds": {**JETSON, "build": {"initContainer": False}},
    "checkpoint": CHECKPOINT,
    "checkpoint on a CPU": {**CHECKPOINT, "device": "cpu"},
    "every setting": {
        **JETSON,
        "settings": EVERY_SETTING,
        "networkPolicy": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
    },
    "encrypted": {
        **KEYS,
        "tls": {"existingSecret": "site"},
        "serviceMonitor": {"enabled": True, "keySecret": "prometheus"},
    },
    "plugin": {**OPEN, "device": "cuda", "gpu": {"resource": "nvidia.com/gpu", "runtimeClassName": ""}},
    "not kept": {**OPEN, "storage": {"persistent": False}, "preStopSeconds": 0},
    "nothing beside": {
        **OPEN,
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "tests": {"enabled": False},
    },
    "everything": {
        **KEYS,
        "replicas": 3,
        "image": {"tag": "7", "pullPolicy": "Always", "pullSecrets": ["a", "b"]},
        "nodeSelector": {"edgevlm/device": "cpu"},
        "tolerations": [{"key": "only", "operator": "Exists"}],
        "priorityClassName": "line",
        "podAnnotations": {"a.example/b": "c"},
        "podLabels": {"team": "vision"},
        "service": {"type": "LoadBalancer", "port": 80, "nodePort": 30001},
        "ingress": {
            "enabled": True,
            "host": "a.example",
            "tlsSecret": "tls",
            "annotations": {"a.example/body": "20m"},
        },
        "httpRoute": {
            "enabled": True,
            "parentRefs": [{"name": "site", "namespace": "edge"}],
            "hostnames": ["a.example"],
            "requestTimeout": "300s",
        },
        "stations": {"existingConfigMap": "presses"},
        "networkPolicy": {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
        "serviceMonitor": {"enabled": True, "keySecret": "scrape", "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboard": {"enabled": True},
        "keda": {"enabled": True, "prometheus": "http://prometheus:9090", "minReplicas": 2, "maxReplicas": 5},
        "tests": {"keySecret": "test"},
    },
    "bare ingress": {**OPEN, "ingress": {"enabled": True}, "serviceMonitor": {"enabled": True}},
    "long name": {**OPEN, "fullnameOverride": "a-name-that-is-much-too-long-for-what-a-cluster-makes-of-it"},
}
