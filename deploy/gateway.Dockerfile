# docker build -f deploy/gateway.Dockerfile -t supplytower-gateway .
FROM python:3.11-slim
WORKDIR /app
COPY setup.py pyproject.toml README.md LICENSE supplytower.py ./
COPY data_pipelines data_pipelines
COPY models models
COPY training training
COPY serving serving
RUN pip install --no-cache-dir '.[redis]'
USER nobody
EXPOSE 8000
ENTRYPOINT ["supplytower", "serve", "gateway"]
