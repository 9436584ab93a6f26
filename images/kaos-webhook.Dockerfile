# The webhook: `docker build --file images/kaos-webhook.Dockerfile target/release`.
# `cargo xtask image` reads this file and makes the same without a daemon.
FROM gcr.io/distroless/base-nossl-debian12
LABEL org.opencontainers.image.title="kaos-webhook" org.opencontainers.image.licenses="Apache-2.0" org.opencontainers.image.source="https://github.com/kaos-telemetry/kaos-telemetry"
COPY kaos-webhook /usr/bin/kaos-webhook
USER 65532:65532
ENTRYPOINT ["/usr/bin/kaos-webhook"]
CMD ["serve"]
