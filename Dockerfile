# One image for the Prefect server, the MLflow server and the GPU workers: see compose.yaml and docs/operations.md.
FROM python:3.11-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

WORKDIR /app
COPY pyproject.toml constraints.txt ./

# torch first and by its exact version: no other package may choose it. TORCH_INDEX is an index that has it for another
# accelerator than the default one has, or for none; both are named, since torchvision has to be of the same build.
ARG TORCH_INDEX=""
RUN pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch==2.13.0 torchvision==0.28.0
# All that the project needs, before its code is there: a change of the code costs no second download.
# hadolint ignore=DL3059
RUN pip install -c constraints.txt '.[postgres,s3]'

RUN useradd --uid 10001 --create-home dreamvideo && chown 10001 /app
COPY --chown=10001 . .
RUN pip install --no-deps --editable .

# There is no .git folder inside: what runs say of the code comes from here.
ARG COMMIT="none"
ENV DREAMVIDEO_COMMIT=${COMMIT}
LABEL org.opencontainers.image.revision=${COMMIT}

USER 10001
EXPOSE 4200 5000
# A worker, unless told otherwise. Data and weights come by DVC when it starts.
CMD ["sh", "-c", "dreamvideo data pull && exec dreamvideo server run worker --with-healthcheck"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=5 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=5)"]
