# The receiver as one static binary on an empty root: no shell, no package manager, no C library.
# `docker build .` builds for the machine it runs on, `--platform` for another.

FROM docker.io/library/rust:1.95-alpine AS build
RUN apk add --no-cache build-base ca-certificates
WORKDIR /src
COPY . .
RUN cargo build --locked --profile container --package pillarbox-cli --bin pillarbox
# Dates of the build must not change the layers, so what is copied below has a fixed one.
RUN install -d -m 750 /state/pillarbox \
    && touch --date=@0 /state/pillarbox /etc/ssl/certs/ca-certificates.crt target/container/pillarbox

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /state/ /var/lib/
COPY --from=build /src/target/container/pillarbox /usr/bin/pillarbox
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
# The demo, and an inbox in a file, are below this folder. With a table nothing is written to disk.
WORKDIR /var/lib/pillarbox
ENV PATH=/usr/bin \
    PILLARBOX_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
    CMD ["/usr/bin/pillarbox", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/pillarbox"]
CMD ["serve"]
