# One image for the Prefect server, the MLflow server and the GPU workers: see compose.yaml and docs/operations.md.
FROM python:3.11-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

WORKDIR /app
COPY pyproject.toml constraints.txt ./

# torch first and by its exact version, so that no other package chooses it. TORCH_INDEX is an index with torch for another
# accelerator, or for none. The line names torchvision too, because both must come from the same build.
ARG TORCH_INDEX=""
RUN pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch==2.13.0 torchvision==0.28.0
# Install the dependencies before the code: a change of the code then needs no second download.
# hadolint ignore=DL3059
RUN pip install -c constraints.txt '.[postgres,s3]'

RUN useradd --uid 10001 --create-home dreamvideo && chown 10001 /app
COPY --chown=10001 . .
RUN pip install --no-deps --editable .

# The image has no .git folder: runs record this as the version of the code.
ARG COMMIT="none"
ENV DREAMVIDEO_COMMIT=${COMMIT}
LABEL org.opencontainers.image.revision=${COMMIT}

USER 10001
EXPOSE 4200 5000
# By default a worker. It fetches data and weights with DVC when it starts.
CMD ["sh", "-c", "dreamvideo data pull && exec dreamvideo server run worker --with-healthcheck"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=5 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=5)"]
