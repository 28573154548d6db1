# Stands in for NVIDIA's base images: files of TensorRT by name, with nothing in them but a class for loggers to derive from.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
ARG VERSION
RUN libraries="/usr/lib/$(uname -m)-linux-gnu" python=/usr/lib/python3/dist-packages \
    && mkdir -p "$libraries" "$python/tensorrt" "$python/tensorrt-$VERSION.dist-info" \
    && touch "$libraries/libnvinfer.so.10" "$libraries/libnvinfer_plugin.so.10" "$libraries/libnvonnxparser.so.10" \
    && printf "__version__ = '%s'\nclass ILogger: pass\n" "$VERSION" > "$python/tensorrt/__init__.py"
