# bids/shresnet, a BIDS App. Build: docker build -t bids/shresnet .
# Layers from what changes least to what changes most: Debian, torch, the other packages, this project.

FROM debian:bookworm-slim AS build

RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/shresnet

WORKDIR /src
ENV PATH=/opt/shresnet/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# The CPU build is a tenth of the size of the CUDA build; for a GPU name PyTorch's index of your CUDA version here.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY constraints.txt ./
RUN pip install --no-deps --index-url "$TORCH_INDEX" -c constraints.txt torch

# An empty package stands in for ours, so that a change of our code does not install the others again.
COPY pyproject.toml version LICENSE ./
RUN mkdir bids_shresnet \
    && touch README.md bids_shresnet/__init__.py \
    && pip install -c constraints.txt . \
    && pip uninstall -y bids-shresnet

COPY README.md ./
COPY bids_shresnet bids_shresnet
RUN pip install --no-deps .


FROM debian:bookworm-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*

COPY --from=build /opt/shresnet /opt/shresnet
COPY run.py version /
RUN chmod 755 /run.py && chmod 644 /version

# The root file system may be read-only and the user any: nothing of the host's Python, no caches, no bytecode.
ENV PATH=/opt/shresnet/bin:$PATH \
    HOME=/tmp \
    LANG=C.UTF-8 \
    PYTHONNOUSERSITE=1 \
    PYTHONPATH="" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

ARG VERSION=0.1.0
ENV SHRESNET_DOCKER_TAG=bids/shresnet:$VERSION
LABEL org.opencontainers.image.title="bids/shresnet" \
      org.opencontainers.image.description="A BIDS App that makes diffusion MRI from different scanners comparable" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0"

ENTRYPOINT ["/run.py"]
