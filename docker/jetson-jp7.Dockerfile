# edgevlm on TensorRT 10.16, for an Orin with JetPack 7.2. Not yet built with NVIDIA's packages: see docker/README.md.
# The driver's libraries come from the device when it runs; CUDA's and TensorRT's are in here, by apt from the sources
# that docker/sources holds.
ARG BASE_IMAGE=ubuntu:24.04

FROM ${BASE_IMAGE} AS python
ARG TENSORRT_PACKAGES="python3-libnvinfer tensorrt-libs cuda-cudart-13-2 cuda-nvrtc-13-2"
RUN --mount=type=bind,source=docker/sources,target=/sources \
    apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && for file in /sources/*.list; do \
           if [ -e "$file" ]; then cp "$file" /etc/apt/sources.list.d/; fi; \
       done \
    && for file in /sources/*.asc; do \
           if [ -e "$file" ]; then cp "$file" /etc/apt/trusted.gpg.d/; fi; \
       done \
    && apt-get update \
    && apt-get install --yes --no-install-recommends ${TENSORRT_PACKAGES} \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log

FROM python AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv --system-site-packages /opt/edgevlm
ENV PATH=/opt/edgevlm/bin:$PATH
WORKDIR /src
COPY docker/locks/build.txt docker/locks/jetson-jp7.txt docker/locks/
RUN pip install --no-cache-dir --ignore-installed --require-hashes --only-binary :all: \
        --requirement docker/locks/build.txt --requirement docker/locks/jetson-jp7.txt
COPY . .
ARG COMMIT=""
RUN printf '%s' "${COMMIT}" > server/edgevlm_server/commit.txt
# test data of onnx is half of it; pip has done its work
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && rm -rf /opt/edgevlm/lib/python3*/site-packages/onnx/backend/test \
    && pip uninstall --yes setuptools pip

FROM python
ARG COMMIT=""
LABEL org.opencontainers.image.title="edgevlm" \
      org.opencontainers.image.description="HTTP server for MobileVLM, on TensorRT 10.16 of JetPack 7.2" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
# the GPU's device files belong to the group video; plans are code, so nobody else may write to the cache
RUN useradd --uid 10001 --user-group --groups video --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin edgevlm \
    && install --directory --mode 0700 --owner edgevlm --group edgevlm /cache /keys \
    && install --directory /models
COPY --from=build /opt/edgevlm /opt/edgevlm
# components and licences of all that is in here
RUN --mount=type=bind,source=docker,target=/docker \
    /opt/edgevlm/bin/python3 /docker/sbom.py --system /docker/locks/jetson-jp7.txt /opt/edgevlm/share/sbom
# what the server makes for itself goes to /cache; inside a container every address is its own, so others decide who
# reaches it, and it wants keys
ENV PATH=/opt/edgevlm/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/cache \
    EDGEVLM_PLANS=/cache/plans \
    EDGEVLM_HOST=0.0.0.0 \
    EDGEVLM_PORT=8000 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=all
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# the first start exports and builds for many minutes
HEALTHCHECK --interval=30s --timeout=5s --start-period=60m --retries=3 CMD ["python3", "-c", "import os, ssl, urllib.request as http; s = 's' if os.environ.get('EDGEVLM_TLS_CERT') else ''; http.urlopen(f\"http{s}://127.0.0.1:{os.environ['EDGEVLM_PORT']}/ready\", timeout=4, context=ssl._create_unverified_context())"]
ENTRYPOINT ["edgevlm"]
CMD ["serve"]
