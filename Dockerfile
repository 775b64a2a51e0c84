# One image for every role: `docker run nustream emit …`, `consume …`, `serve …`, `display …`, `archive …`, `up`.
# Read by BuildKit and by the builder before it; docs/deployment.md shows how to give it other base images or a registry.
# Builds for linux/amd64 and linux/arm64: ONNX Runtime and DuckDB ship binaries for both.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /build
# ONNX Runtime's install script would fetch CUDA files that a CPU has no use for.
ENV ONNXRUNTIME_NODE_INSTALL=skip
# Packages first: a layer that stays as long as the lock file does. Not `npm ci`: it refuses a lock file made where
# the binaries of other platforms could not be looked up.
COPY package.json package-lock.json ./
RUN npm install --no-save --no-audit --no-fund --loglevel=error
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY web web
RUN node_modules/.bin/tsc -p tsconfig.build.json && cp -r src/broker/redis/scripts dist/broker/redis/ && node_modules/.bin/vite build --logLevel error web
# What stays: packages that run, without the binaries of other machines, types, sources, maps and tests of their own.
RUN npm prune --omit=dev --no-audit --no-fund --loglevel=error \
 && cd node_modules/onnxruntime-node/bin/napi-v* \
 && find . -mindepth 2 -maxdepth 2 ! -path "./linux/$(node -p process.arch)" -exec rm -rf {} + \
 && cd /build && find node_modules dist \( -name '*.map' -o -name '*.ts' -o -name '*.[cm]ts' -o -name '*.test.*js' -o -name '*.md' -o -name '*.gyp' \) -type f -delete \
 && find node_modules -type d \( -name test -o -name benchmark \) -prune -exec rm -rf {} + \
 && find node_modules -type d -empty -delete

FROM ${NODE_IMAGE}
ENV NODE_ENV=production NODE_OPTIONS=--disable-warning=ExperimentalWarning \
    NUSTREAM_HOST=0.0.0.0 NUSTREAM_MODEL_CACHE=/tmp/nustream/models
WORKDIR /app
# The archive's folder, and one for models of a registry, which any user may write: OpenShift gives each project a user
# id of its own. A volume that is mounted there for the first time takes over owner and mode.
RUN mkdir /data && chown 1000:1000 /data && mkdir /cache && chmod 1777 /cache \
 && ln -s /app/dist/cli/main.js /usr/local/bin/nustream
COPY package.json LICENSE ./
COPY --from=build /build/node_modules node_modules
COPY models models
COPY deploy/health.sh deploy/health.sh
COPY --from=build /build/web/dist web/dist
COPY --from=build /build/dist dist
RUN chmod 755 dist/cli/main.js
# By number, so that Kubernetes can see that it is not root.
USER 1000:1000
EXPOSE 8080 8500 9101 9102 9103
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/app/deploy/health.sh"]
ENTRYPOINT ["node", "/app/dist/cli/main.js"]
CMD ["up"]
