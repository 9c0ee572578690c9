# The demo on a CPU: docker build -t spikegpt . && docker run --rm -v "$PWD/demo:/work/demo" spikegpt
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
# torch first and from its CPU index: else pip brings gigabytes of CUDA.
RUN pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
WORKDIR /work
COPY . .
# lava-nc declares Python < 3.11 and runs on newer, see the Makefile.
RUN pip install --no-cache-dir ".[lava]" \
 && pip install --no-cache-dir --no-deps --ignore-requires-python lava-nc==0.10.0
CMD ["make", "demo", "READY=", "BIN=/usr/local/bin"]
