# One image for every process of the gateway; compose.yaml says which one a container runs.

FROM python:3.13-slim AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /app
RUN pip install --no-cache-dir "uv>=0.9,<1"
COPY pyproject.toml uv.lock ./
# Without the groups: no tools, no embedded servers.
RUN uv sync --frozen --no-default-groups

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home gateway
WORKDIR /app
COPY --from=build /app/.venv .venv
COPY manage.py ./
COPY gateway gateway
COPY dr_events dr_events
COPY chargers chargers
# Nothing is kept in the container: the database is the truth.
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 DATA_DIR=/tmp
USER 10001
EXPOSE 8000 8001
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", \
     "--workers", "2", "--blocking-threads", "128", "--respawn-failed-workers", \
     "--workers-kill-timeout", "5", "gateway.wsgi:application"]
