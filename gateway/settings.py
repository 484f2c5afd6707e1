"""Every setting of the gateway. The environment is read here and nowhere else.

README.md lists each variable with its unit and default.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from dr_events.evidence.baselines import METHODS
from gateway import embedded, navigation
from gateway.environment import BadVariable, Environment
from gateway.logs import logging_config

env = Environment(os.environ)

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / ".data"))).resolve()

DEBUG = env.flag("DEBUG", False)
# `up` and `demo` serve plain HTTP on loopback; everything else is behind TLS.
PLAIN_HTTP = env.flag("PLAIN_HTTP", DEBUG)
# Believe X-Forwarded-Proto and X-Forwarded-For: only behind a proxy that sets both.
BEHIND_PROXY = env.flag("BEHIND_PROXY", False)

SECRET_KEY = env.text("SECRET_KEY") or embedded.secret_key(DATA_DIR)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

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
    "django.contrib.postgres",
    "import_export",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "oauth2_provider",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "chargers",
    "dr_events",
    "dr_events.notices",
    "gateway.login",
    "gateway",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    # Above whatever makes an answer of its own: files, errors, refusals.
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "gateway.middleware.ContentPolicy",
    "gateway.middleware.RequestContext",
    "gateway.addresses.OverTls",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "gateway.middleware.BodyLimit",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "gateway.addresses.FinalSlash",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "gateway.login.middleware.SessionLimits",
    "gateway.login.middleware.SecondFactor",
    "gateway.middleware.Numerals",
    "gateway.middleware.AdminQuery",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
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

_database = env.database("DATABASE_URL")
EMBEDDED_DATABASE = _database is None
DATABASES: dict[str, dict[str, Any]] = {
    "default": _database or embedded.database_settings(DATA_DIR)
}
# A worker that was frozen with locks in its hand must not hold them for ever: PostgreSQL ends the
# connection of whoever keeps others waiting and has not said a word for so long.
DATABASE_STANDSTILL_S = 20
DATABASES["default"]["OPTIONS"] = {
    "options": f"-c idle_in_transaction_session_timeout={DATABASE_STANDSTILL_S}s",
    **DATABASES["default"].get("OPTIONS", {}),
    "pool": {
        "min_size": 1,
        "max_size": env.whole("DATABASE_POOL_SIZE", 8, least=2),
        "timeout": 3,
        # The pool doubles its pause after every attempt that fails, and would be as late as the
        # outage was long. Once it gives up, whoever needs a connection next has one made at once.
        "reconnect_timeout": 2,
    },
}
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_redis_url = env.address("REDIS_URL", schemes=("redis", "rediss", "unix"))
EMBEDDED_REDIS = not _redis_url
REDIS_URL = _redis_url or embedded.redis_url(DATA_DIR)

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
    }
}

# --- time, language -----------------------------------------------------------------------

USE_TZ = True
TIME_ZONE = env.time_zone("TIME_ZONE", "UTC")
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
SECURE_REDIRECT_EXEMPT = [""]  # all of it: gateway.addresses.OverTls does it
SECURE_HSTS_SECONDS = 0 if PLAIN_HTTP else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = not PLAIN_HTTP
CSRF_COOKIE_SECURE = not PLAIN_HTTP
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# Who guesses somebody's password is locked out from that name at that address, and nobody else
# is: a stranger cannot keep an operator out. Trying on does not make it longer.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=10)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "gateway.login.views.locked_out"
# gateway.login has a log of its own.
AXES_ENABLE_ACCESS_FAILURE_LOG = False
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- log-in -------------------------------------------------------------------------------

SECOND_FACTOR_REQUIRED = env.flag("SECOND_FACTOR_REQUIRED", not PLAIN_HTTP)
OTP_TOTP_ISSUER = "Demand response"
SESSION_IDLE_S = env.whole("SESSION_IDLE_S", 4 * 3600, least=60)
SESSION_COOKIE_AGE = env.whole("SESSION_MAX_S", 12 * 3600, least=60)

OIDC_ISSUER = env.address(
    "OIDC_ISSUER", schemes=("https", "http") if PLAIN_HTTP else ("https",)
).rstrip("/")
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID")
if OIDC_ISSUER and not OIDC_CLIENT_ID:
    raise BadVariable("OIDC_CLIENT_ID", "is needed where OIDC_ISSUER is set")
OIDC_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET")
OIDC_SCOPES = env.words("OIDC_SCOPES", ["openid", "profile", "email"])
OIDC_USERNAME_CLAIM = env.text("OIDC_USERNAME_CLAIM", "preferred_username")
OIDC_ROLES_CLAIM = env.text("OIDC_ROLES_CLAIM", "roles")
_ROLES = ("operator", "auditor", "administrator")
OIDC_ROLES = env.mapping("OIDC_ROLES", values=_ROLES) or {role: role for role in _ROLES}

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
    # OAuth 2.0 Security Best Current Practice (RFC 9700), all of it: tokens stored as hashes,
    # no implicit or password grant, no token in an address.
    **{
        f"COMPLIANT_BCP_RFC9700_{practice}": True
        for practice in (
            "IMPLICIT_GRANT",
            "PASSWORD_GRANT",
            "PKCE_METHOD",
            "ACCESS_TOKEN_TRANSPORT",
            "AUTHZ_RESPONSE_ISS",
            "TOKEN_STORAGE",
            "REFRESH_TOKEN",
            "REDIRECT_URI_SCHEME",
        )
    },
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["gateway.clients.BearerToken"],
    "DEFAULT_PERMISSION_CLASSES": ["gateway.clients.ScopesOfMethod"],
    "DEFAULT_PARSER_CLASSES": ["gateway.rest.StrictJsonParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "gateway.rest.AlwaysJson",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "gateway.openapi.ProblemAutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["gateway.throttling.ClientThrottle"],
    # The address is REMOTE_ADDR, which the middleware sets behind a proxy; anyone can send
    # X-Forwarded-For.
    "NUM_PROXIES": 0,
    "DEFAULT_THROTTLE_RATES": {
        "client": env.rate("API_RATE_LIMIT", "100/s"),
        "token": env.rate("TOKEN_RATE_LIMIT", "60/min"),
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
        "gateway.openapi.add_links",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "ENUM_NAME_OVERRIDES": {
        "EventStatus": "dr_events.models.Event.Status",
        "ParticipationState": "dr_events.models.Participation.State",
        "SessionStatus": "chargers.models.Session.Status",
        "TargetType": "dr_events.models.EventTarget.Type",
        "PowerType": "chargers.models.Connector.PowerType",
        "BelowMinimum": "dr_events.models.BELOW_MINIMUM",
        "LimitKind": "dr_events.models.Event.LimitKind",
        "LimitUnit": "chargers.models.UNITS",
        "OptOutKind": "dr_events.models.OptOut.Kind",
        "OptOutType": "dr_events.models.OptOut.Type",
    },
}

# --- Celery -------------------------------------------------------------------------------

CELERY_BROKER_URL = embedded.celery_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ALWAYS_EAGER = False
# A worker whose processes are all busy takes no message: a bell that it kept for later would not be
# heard by another worker that is free.
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# A bell that nobody hears must not keep a webhook waiting.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 1,
    "socket_keepalive": True,
    "max_retries": 0,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
# What beat rings has a queue of its own: workers take from their queues in turn, so it never waits
# behind the bells of a busy hour.
CELERY_TASK_ROUTES = {
    "chargers.tasks.dispatch": {"queue": "dispatch"},
    "chargers.tasks.sync_if_due": {"queue": "clock"},
    "dr_events.tasks.sweep": {"queue": "clock"},
    "chargers.tasks.*": {"queue": "control"},
    "dr_events.tasks.*": {"queue": "control"},
    "dr_events.notices.tasks.*": {"queue": "notices"},
}
CELERY_TASK_DEFAULT_QUEUE = "control"
# A tick that could not be run within its second is worthless: the next one does its work.
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "dr_events.tasks.sweep", "schedule": 1.0, "options": {"expires": 5}},
    "anchor": {"task": "chargers.tasks.anchor_audit", "schedule": 60.0, "options": {"expires": 60}},
    "exports": {
        "task": "dr_events.tasks.make_exports",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "site-files": {
        "task": "chargers.tasks.take_site_files",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "sync": {"task": "chargers.tasks.sync_if_due", "schedule": 10.0, "options": {"expires": 10}},
    "prune": {"task": "dr_events.tasks.prune", "schedule": 60.0, "options": {"expires": 60}},
    "watch": {"task": "dr_events.notices.tasks.watch", "schedule": 5.0, "options": {"expires": 10}},
    "load": {"task": "chargers.tasks.sample_load", "schedule": 5.0, "options": {"expires": 5}},
    "curves": {"task": "dr_events.tasks.sample_curves", "schedule": 5.0, "options": {"expires": 5}},
}

# --- eDRV ---------------------------------------------------------------------------------

EDRV_API_URL = env.address(
    "EDRV_API_URL", "https://api.edrv.io/v1.1", schemes=("https", "http")
).rstrip("/")
EDRV_API_KEY = env.text("EDRV_API_KEY")
EDRV_COMMAND_METHOD = env.choice("EDRV_COMMAND_METHOD", ("POST", "PUT", "PATCH", "GET"))
EDRV_WEBHOOK_SECRETS = env.words("EDRV_WEBHOOK_SECRETS")
EDRV_WEBHOOK_SIGNED_CONTENT = env.choice("EDRV_WEBHOOK_SIGNED_CONTENT", ("body", "t.body"))
EDRV_WEBHOOK_MAX_AGE_S = env.number("EDRV_WEBHOOK_MAX_AGE_S", 180, above=0)
EDRV_WEBHOOK_SILENCE_S = env.number("EDRV_WEBHOOK_SILENCE_S", 180, above=0)
EDRV_MAX_CONCURRENCY = env.whole("EDRV_MAX_CONCURRENCY", 100, least=1)
EDRV_RATE_LIMIT = env.number("EDRV_RATE_LIMIT", 0)
EDRV_COMMAND_DEADLINE_S = env.number("EDRV_COMMAND_DEADLINE_S", 60, above=0)
EDRV_TIMEOUT_S = env.number("EDRV_TIMEOUT_S", 15, above=0)
EDRV_SYNC_INTERVAL_S = env.number("EDRV_SYNC_INTERVAL_S", 300, above=0)

# --- compliance, from metering ------------------------------------------------------------

COMPLIANCE_TOLERANCE = env.number("COMPLIANCE_TOLERANCE", 0.05)
COMPLIANCE_TOLERANCE_W = env.number("COMPLIANCE_TOLERANCE_W", 100)
COMPLIANCE_PATIENCE_S = env.number("COMPLIANCE_PATIENCE_S", 120)
# Clearing takes seconds, or a deadline and a second try.
RESTORE_PATIENCE_S = env.number("RESTORE_PATIENCE_S", 120, above=0)

# --- how long meter readings are kept that are no event's evidence -------------------------

METER_READINGS_KEPT_DAYS = env.whole("METER_READINGS_KEPT_DAYS", 400, least=60)

# --- caps that sessions share, standing site capacity, opt-outs ----------------------------

CAP_DEAD_BAND_W = env.number("CAP_DEAD_BAND_W", 500)
CAP_MINIMUM_INTERVAL_S = env.number("CAP_MINIMUM_INTERVAL_S", 60)
CAP_TURN_S = env.number("CAP_TURN_S", 900, above=0)
CAP_SETTLING_S = env.number("CAP_SETTLING_S", 60, above=0)
SITE_SAFE_POWER_W = env.number("SITE_SAFE_POWER_W", 0)
_opt_outs_a_year = env.text("OPT_OUTS_A_YEAR")
OPT_OUTS_A_YEAR = env.whole("OPT_OUTS_A_YEAR", 0, least=0) if _opt_outs_a_year else None

# --- notices ------------------------------------------------------------------------------

_mail = env.mail_server("EMAIL_URL")
EMAIL_IS_CONFIGURED = bool(env.text("EMAIL_URL"))
EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_HOST"], _mail["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"], _mail["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS = _mail.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "gateway@localhost")
NOTIFY_PRIVATE_ADDRESSES = env.flag("NOTIFY_PRIVATE_ADDRESSES", False)

# --- two-person approval ------------------------------------------------------------------

# Whose orders need a second person, and from which metered draw in their scope on.
APPROVAL_ROLES = env.words("APPROVAL_ROLES")
APPROVAL_ABOVE_KW = env.number("APPROVAL_ABOVE_KW", 0)

# --- evidence: measurement, seal, anchors of the audit chain -------------------------------

EVIDENCE_INTERVAL_MIN = int(env.choice("EVIDENCE_INTERVAL_MIN", ("5", "15")))
EVIDENCE_BASELINES = env.several("EVIDENCE_BASELINES", tuple(METHODS))
EVIDENCE_SETTLEMENT_GRADE = env.several("EVIDENCE_SETTLEMENT_GRADE", tuple(METHODS), unset=())
BASELINE_HOLIDAYS = env.dates("BASELINE_HOLIDAYS")
EVIDENCE_SIGNING_KEYS = env.keys("EVIDENCE_SIGNING_KEYS") or embedded.signing_keys(DATA_DIR)
EXPORTS_KEPT_DAYS = env.number("EXPORTS_KEPT_DAYS", 30, above=0)

AUDIT_ANCHOR_INTERVAL_S = env.number("AUDIT_ANCHOR_INTERVAL_S", 3600, above=0)
_anchor_file = env.text("AUDIT_ANCHOR_FILE")
AUDIT_ANCHOR_FILE = Path(_anchor_file) if _anchor_file else None
AUDIT_ANCHOR_EMAILS = env.words("AUDIT_ANCHOR_EMAILS")
if AUDIT_ANCHOR_EMAILS and not EMAIL_IS_CONFIGURED:
    raise BadVariable("AUDIT_ANCHOR_EMAILS", "needs EMAIL_URL, or nobody is sent anything")
AUDIT_ANCHOR_WEBHOOK_URL = env.address("AUDIT_ANCHOR_WEBHOOK_URL", schemes=("https", "http"))

# --- logs, admin --------------------------------------------------------------------------

LOGGING = logging_config(console=DEBUG or sys.stderr.isatty())
LOGGING_CONFIG = "gateway.logs.configure"

UNFOLD = {
    "SITE_TITLE": "Demand response",
    "SITE_HEADER": "Demand response",
    "SITE_SUBHEADER": "EV charging gateway",
    "SITE_SYMBOL": "bolt",
    "SITE_FAVICONS": [{"rel": "icon", "href": "gateway.navigation.favicon"}],
    "SITE_URL": None,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "SIDEBAR": {"navigation": "gateway.navigation.sidebar"},
    "DASHBOARD_CALLBACK": "gateway.overview.context",
    "ACCOUNT": {"navigation": "gateway.navigation.account"},
    "ENVIRONMENT": "gateway.navigation.as_of",
    "STYLES": navigation.assets("vendor/uplot/uPlot.min.css", "control.css"),
    "SCRIPTS": navigation.assets(
        "vendor/uplot/uPlot.iife.min.js",
        "vendor/idiomorph/idiomorph-ext.min.js",
        "charts.js",
        "live.js",
        "order.js",
    ),
    # unfold's own are too pale for small print (WCAG 2.2, 1.4.3).
    "COLORS": {
        "font": {
            "subtle-light": "var(--color-base-600)",
            "subtle-dark": "var(--color-base-300)",
        }
    },
}
IMPORT_EXPORT_USE_TRANSACTIONS = True
IMPORT_EXPORT_SKIP_ADMIN_LOG = True
