# A user's requirements.txt on top of the Locust image. `make up` builds it if that file is beside the locustfile.
# The context has that file and the files that it includes; the named context `kit-build` is docker/build.
ARG BASE=locust-kit/locust:local

FROM ${BASE} AS pip
USER 0:0
RUN --mount=type=secret,id=apt_sources --mount=type=secret,id=apt_conf --mount=type=secret,id=ca_bundle \
    --mount=type=bind,from=kit-build,target=/kit-build \
    sh /kit-build/apt-install python3-venv && /usr/bin/python3 -m venv /kit-pip

FROM ${BASE}
ARG REQUIREMENTS=requirements.txt CHOSEN=
USER 0:0
RUN --mount=type=secret,id=pip_conf --mount=type=secret,id=ca_bundle \
    --mount=type=bind,from=kit-build,target=/kit-build \
    --mount=type=bind,from=pip,source=/kit-pip,target=/kit-pip \
    --mount=type=bind,target=/context \
    sh /kit-build/pip-add /kit-pip/bin/pip /opt/venv "/context/$REQUIREMENTS" "$CHOSEN"
USER 10001:10001
