# bids/shresnet, a BIDS App. Build: docker build -t bids/shresnet .
# For a GPU, name PyTorch's index of your CUDA version:
#     --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130
# The layers that change least come first: Debian, the packages, this project.

FROM debian:bookworm-slim AS packages

# Debian removes a version when it fixes it, so a pinned version could not be installed for long
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY constraints.txt LICENSE pyproject.toml version ./
COPY scripts/container-install scripts/
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN scripts/container-install packages


FROM packages AS app

COPY README.md run.py ./
COPY bids_shresnet bids_shresnet
RUN scripts/container-install app /app


FROM debian:bookworm-slim

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*

COPY --from=packages /opt/shresnet /opt/shresnet
COPY --from=app /app /

# The root file system may be read-only, and the user may have no name and no home
ENV PATH=/opt/shresnet/bin:$PATH \
    HOME=/tmp \
    LANG=C.UTF-8 \
    PYTHONNOUSERSITE=1

ARG VERSION=0.1.0
ARG REVISION=unknown
ENV SHRESNET_DOCKER_TAG=bids/shresnet:$VERSION
LABEL org.opencontainers.image.title="bids/shresnet" \
      org.opencontainers.image.description="A BIDS App that makes diffusion MRI from different scanners comparable" \
      org.opencontainers.image.source="https://github.com/bids-apps/shresnet" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"

ENTRYPOINT ["/run.py"]
