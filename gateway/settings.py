"""Every setting of the gateway. The environment is read here and nowhere else.

docs/operations.md lists each variable with its unit and default.
"""

import sys
from pathlib import Path
from typing import Any

import environ

from gateway import embedded
from gateway.logs import logging_config

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / ".data"))).resolve()

DEBUG = env.bool("DEBUG", default=False)
# `up` and `demo` serve plain HTTP on loopback; everything else is behind TLS.
PLAIN_HTTP = env.bool("PLAIN_HTTP", default=DEBUG)
# Believe X-Forwarded-Proto and X-Forwarded-For: only behind a proxy that sets both.
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)

SECRET_KEY = env.str("SECRET_KEY", default="") or embedded.secret_key(DATA_DIR)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.import_export",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "import_export",
    "oauth2_provider",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "chargers",
    "dr_events",
    "gateway",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "gateway.middleware.RequestContext",
    "gateway.middleware.BodyLimit",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "gateway.urls"
WSGI_APPLICATION = "gateway.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- stores -------------------------------------------------------------------------------

EMBEDDED_DATABASE = not env.str("DATABASE_URL", default="")
DATABASES: dict[str, dict[str, Any]] = {
    "default": embedded.database_settings(DATA_DIR) if EMBEDDED_DATABASE else env.db("DATABASE_URL")
}
DATABASES["default"]["OPTIONS"] = {
    **DATABASES["default"].get("OPTIONS", {}),
    "pool": {"min_size": 1, "max_size": env.int("DATABASE_POOL_SIZE", default=8), "timeout": 10},
}
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

EMBEDDED_REDIS = not env.str("REDIS_URL", default="")
REDIS_URL = embedded.redis_url(DATA_DIR) if EMBEDDED_REDIS else env.str("REDIS_URL")

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
    }
}

# --- time, language -----------------------------------------------------------------------

USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
LANGUAGE_CODE = "en"
USE_I18N = True

# --- web ----------------------------------------------------------------------------------

STATIC_URL = "/static/"
# Served straight from the packages that ship them: nothing to collect, nothing to go stale.
STATIC_ROOT = None
WHITENOISE_USE_FINDERS = True

MAX_BODY_BYTES = 1_000_000
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

SECURE_SSL_REDIRECT = not PLAIN_HTTP
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$"]
SECURE_HSTS_SECONDS = 0 if PLAIN_HTTP else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = not PLAIN_HTTP
CSRF_COOKIE_SECURE = not PLAIN_HTTP
SESSION_COOKIE_AGE = 12 * 3600
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGIN_URL = "admin:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- REST ---------------------------------------------------------------------------------

OAUTH2_PROVIDER_APPLICATION_MODEL = "gateway.ApiClient"
OAUTH2_PROVIDER = {
    "SCOPES": {
        "events:read": "Read demand-response events and their participations",
        "events:write": "Declare, amend, end and cancel demand-response events",
        "fleet:read": "Read sites, chargestations and sessions",
        "reports:read": "Export event reports",
    },
    "SCOPES_BACKEND_CLASS": "gateway.clients.ClientScopes",
    "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "oauth2_provider.contrib.rest_framework.OAuth2Authentication"
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "oauth2_provider.contrib.rest_framework.TokenMatchesOASRequirements"
    ],
    "DEFAULT_PARSER_CLASSES": ["gateway.rest.StrictJsonParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "gateway.rest.AlwaysJson",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "gateway.openapi.ProblemAutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["gateway.throttling.ClientThrottle"],
    "DEFAULT_THROTTLE_RATES": {
        "client": env.str("API_RATE_LIMIT", default="100/s"),
        "token": env.str("TOKEN_RATE_LIMIT", default="60/min"),
    },
    "EXCEPTION_HANDLER": "gateway.problems.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Demand-response gateway for EV charging",
    "DESCRIPTION": "Declare congestion events, follow every session, export the evidence.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "OAUTH2_FLOWS": ["clientCredentials"],
    "OAUTH2_TOKEN_URL": "/oauth/token/",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "gateway.openapi.add_problem_schema",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
}

# --- Celery -------------------------------------------------------------------------------

CELERY_BROKER_URL = embedded.celery_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ALWAYS_EAGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 1, "socket_keepalive": True}
CELERY_TASK_ROUTES = {
    "chargers.tasks.dispatch": {"queue": "dispatch"},
    "chargers.tasks.*": {"queue": "control"},
    "dr_events.tasks.*": {"queue": "control"},
}
CELERY_TASK_DEFAULT_QUEUE = "control"
# A tick that could not be run within its second is worthless: the next one does its work.
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "dr_events.tasks.sweep", "schedule": 1.0, "options": {"expires": 5}},
    "sync": {"task": "chargers.tasks.sync_if_due", "schedule": 10.0, "options": {"expires": 10}},
}

# --- eDRV ---------------------------------------------------------------------------------

EDRV_API_URL = env.str("EDRV_API_URL", default="https://api.edrv.io/v1.1").rstrip("/")
EDRV_API_KEY = env.str("EDRV_API_KEY", default="")
EDRV_COMMAND_METHOD = env.str("EDRV_COMMAND_METHOD", default="POST").upper()
EDRV_WEBHOOK_SECRETS = env.list("EDRV_WEBHOOK_SECRETS", default=[])
EDRV_WEBHOOK_SIGNED_CONTENT = env.str("EDRV_WEBHOOK_SIGNED_CONTENT", default="body")
EDRV_WEBHOOK_MAX_AGE_S = env.float("EDRV_WEBHOOK_MAX_AGE_S", default=180)
EDRV_WEBHOOK_SILENCE_S = env.float("EDRV_WEBHOOK_SILENCE_S", default=180)
EDRV_MAX_CONCURRENCY = env.int("EDRV_MAX_CONCURRENCY", default=100)
EDRV_RATE_LIMIT = env.float("EDRV_RATE_LIMIT", default=0)
EDRV_COMMAND_DEADLINE_S = env.float("EDRV_COMMAND_DEADLINE_S", default=60)
EDRV_TIMEOUT_S = env.float("EDRV_TIMEOUT_S", default=15)
EDRV_SYNC_INTERVAL_S = env.float("EDRV_SYNC_INTERVAL_S", default=300)

# --- compliance, from metering ------------------------------------------------------------

COMPLIANCE_TOLERANCE = env.float("COMPLIANCE_TOLERANCE", default=0.05)
COMPLIANCE_TOLERANCE_W = env.float("COMPLIANCE_TOLERANCE_W", default=100)
COMPLIANCE_PATIENCE_S = env.float("COMPLIANCE_PATIENCE_S", default=120)

# --- logs, admin --------------------------------------------------------------------------

LOGGING = logging_config(console=DEBUG or sys.stderr.isatty())
LOGGING_CONFIG = "gateway.logs.configure"

UNFOLD = {
    "SITE_TITLE": "Demand response",
    "SITE_HEADER": "Demand-response gateway",
    "SITE_SYMBOL": "bolt",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
}
IMPORT_EXPORT_USE_TRANSACTIONS = True
IMPORT_EXPORT_SKIP_ADMIN_LOG = True

SILENCED_SYSTEM_CHECKS: list[str] = []
