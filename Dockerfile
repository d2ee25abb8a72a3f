# One image for every process of opsdash; docker-compose.yml says which process a container runs.
# Builds with BuildKit and with the classic builder.
ARG IMAGE_PYTHON=python:3.13-slim

FROM ${IMAGE_PYTHON} AS build
# The usual machines get wheels; elsewhere pip compiles, here, with what the final image does not have.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev libffi-dev \
 && rm -rf /var/lib/apt/lists/*
# An index of your own: --build-arg PIP_INDEX_URL=...
ARG PIP_INDEX_URL
RUN python -m venv /opt/venv
COPY requirements.txt /opt/opsdash/
RUN /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check -r /opt/opsdash/requirements.txt
COPY . /opt/opsdash
# The settings want to be complete, though collecting files reaches no server.
RUN cd /opt/opsdash \
 && export OPSDASH_SECRET_KEY="$(/opt/venv/bin/python -c 'import secrets; print(secrets.token_hex(32))')" \
 && export OPSDASH_SEALING_KEYS="$(/opt/venv/bin/python -c 'from cryptography.fernet import Fernet as F; print(F.generate_key().decode())')" \
 && export DATABASE_URL=postgres://build@127.0.0.1:1/none REDIS_URL=redis://127.0.0.1:1/0 \
 && export OPSDASH_STATIC_ROOT=/opt/opsdash/collected \
 && /opt/venv/bin/python manage.py collectstatic --noinput \
 && /opt/venv/bin/python -m compileall -q opsdash dbops manage.py

FROM ${IMAGE_PYTHON}
# ssh leads to targets on other machines (docs/recipes.md).
RUN apt-get update \
 && apt-get install -y --no-install-recommends openssh-client \
 && rm -rf /var/lib/apt/lists/*
# The number is fixed so that what lies in volumes keeps its owner from image to image.
RUN groupadd --gid 10001 opsdash \
 && useradd --uid 10001 --gid opsdash --create-home --shell /usr/sbin/nologin opsdash \
 && install -d -o opsdash -g opsdash /srv/venvs \
 && install -d /srv/targets
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/opsdash /opt/opsdash
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OPSDASH_STATIC_ROOT=/opt/opsdash/collected \
    OPSDASH_TARGETS_FILE=/srv/targets/targets.toml
WORKDIR /opt/opsdash
USER opsdash
# /dev/shm: a heartbeat file on a disk that stalls would make gunicorn kill a web process that is well.
CMD ["gunicorn", "-k", "opsdash.worker.Worker", "--bind", "0.0.0.0:8000", "--worker-tmp-dir", "/dev/shm", "--no-control-socket", "--graceful-timeout", "3", "opsdash.asgi:application"]
