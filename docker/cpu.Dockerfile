# edgevlm on ONNX Runtime, for x86-64 and arm64; the demo model is inside. See docker/README.md.
# Debian 12 has the Python that docker/locks/cpu.txt is for.
ARG BASE_IMAGE=debian:12-slim

FROM ${BASE_IMAGE} AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log

FROM python AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/edgevlm
ENV PATH=/opt/edgevlm/bin:$PATH
WORKDIR /src
COPY docker/locks/build.txt docker/locks/cpu.txt docker/locks/
RUN pip install --no-cache-dir --require-hashes --only-binary :all: \
        --requirement docker/locks/build.txt --requirement docker/locks/cpu.txt
COPY . .
ARG COMMIT=""
RUN printf '%s' "${COMMIT}" > server/edgevlm_server/commit.txt
# test data of onnx is half of it; pip has done its work
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && rm -rf /opt/edgevlm/lib/python3*/site-packages/onnx/backend/test \
    && XDG_CACHE_HOME=/cache python -c "from edgevlm.demo_bundle import demo_bundle; demo_bundle()" \
    && pip uninstall --yes setuptools pip

FROM python
ARG COMMIT=""
LABEL org.opencontainers.image.title="edgevlm" \
      org.opencontainers.image.description="HTTP server for MobileVLM, on ONNX Runtime" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin edgevlm \
    && install --directory --mode 0700 --owner edgevlm --group edgevlm /keys \
    && install --directory /models
COPY --from=build /opt/edgevlm /opt/edgevlm
# components and licences of all that is in here
RUN --mount=type=bind,source=docker,target=/docker \
    /opt/edgevlm/bin/python3 /docker/sbom.py --system /docker/locks/cpu.txt /opt/edgevlm/share/sbom
COPY --from=build --chown=10001:10001 /cache /cache
# what the server makes for itself goes to /cache; inside a container every address is its own, so others decide who
# reaches it, and it wants keys
ENV PATH=/opt/edgevlm/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/cache \
    EDGEVLM_HOST=0.0.0.0 \
    EDGEVLM_PORT=8000
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10m --retries=3 CMD ["python3", "-c", "import os, ssl, urllib.request as http; s = 's' if os.environ.get('EDGEVLM_TLS_CERT') else ''; http.urlopen(f\"http{s}://127.0.0.1:{os.environ['EDGEVLM_PORT']}/ready\", timeout=4, context=ssl._create_unverified_context())"]
ENTRYPOINT ["edgevlm"]
CMD ["serve"]
