# The app in one image, for a Hugging Face Space (Docker SDK) or any server; docs/deploy.md.
#
#     docker build --build-arg TORCH_INDEX=… --build-arg DATA="svhn cifar10" -t latent-atelier .
#     docker run -p 8501:8501 latent-atelier
#
# A Space passes its public variables as build arguments of the same name.
FROM python:3.11-slim

# Address of a package index with CPU builds of PyTorch: 0.2 GB instead of several of CUDA. Without
# it the default builds are taken.
ARG TORCH_INDEX=""
# Data sets to put into the image, so that the pages have real pictures: "svhn cifar10" or nothing.
ARG DATA=""

# Spaces run their containers as user 1000.
RUN useradd --create-home --uid 1000 user

WORKDIR /home/user/app

COPY requirements.txt ./
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
        --constraint requirements.txt torch torchvision \
    && pip install --no-cache-dir --requirement requirements.txt

# OMP_NUM_THREADS stays unset: the app then computes on every core that the container may use.
# The protection against forged requests rests on a cookie, and a browser sends none from a page in the
# frame of another site, as the Space's page shows the app: the upload would answer 403. The app has
# no accounts and stores nothing, so that there is nothing to forge. It stays on outside this image.
ENV HOME=/home/user \
    HF_HOME=/home/user/.cache/huggingface \
    PYTHONUNBUFFERED=1 \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_PORT=8501 \
    STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION=false

# Owned by root: the app reads its files and cannot change them.
COPY app.py ./
COPY .streamlit .streamlit
COPY checkpoints checkpoints
COPY core core
COPY pages pages
COPY train train
RUN python -m compileall -q app.py core pages train

USER user

# Made here, so that it is the user's: the one-click downloads of the pages go there too.
RUN mkdir -p "$HF_HOME" \
    && if [ -n "$DATA" ]; then python -m train data $DATA; fi

EXPOSE 8501
HEALTHCHECK --start-period=60s --interval=30s --timeout=10s CMD \
    python -c "import os, urllib.request as web; web.urlopen('http://127.0.0.1:' + os.environ['STREAMLIT_SERVER_PORT'] + '/_stcore/health', timeout=5)"

CMD ["streamlit", "run", "app.py"]
