# The eBPF probe: `docker build --file images/kaos-probe.Dockerfile target/release`.
# `cargo xtask image` reads this file and makes the same without a daemon.
FROM gcr.io/distroless/base-nossl-debian12
LABEL org.opencontainers.image.title="kaos-probe" org.opencontainers.image.licenses="Apache-2.0" org.opencontainers.image.source="https://github.com/kaos-telemetry/kaos-telemetry"
COPY kaos-probe /usr/bin/kaos-probe
# Root of the container, with the capabilities that the chart gives it and no more.
USER 0:0
ENTRYPOINT ["/usr/bin/kaos-probe"]
CMD ["agent"]
