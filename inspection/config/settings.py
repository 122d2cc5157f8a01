"""Django settings. Every value that a plant may change is read from the environment (docs/operations.md)."""

from pathlib import Path

import dj_database_url
import plotly

from . import environment
from .environment import BASE_DIR, read, validate

VAR_DIR = environment.var_dir()
REDIS_URL = environment.redis_url(VAR_DIR)
REDIS_SOCKET = environment.socket_path(VAR_DIR, "redis.sock")
IS_REDIS_EMBEDDED = f"unix://{REDIS_SOCKET}" == REDIS_URL
SUPERVISOR_SOCKET = environment.socket_path(VAR_DIR, "supervisor.sock")

HOST = read("str", "HOST", default="127.0.0.1")
PORT = read("int", "PORT", default=8000, validate=validate.Range(min=1, max=65535))
DEMO_PLC_PORT = read("int", "DEMO_PLC_PORT", default=5020, validate=validate.Range(min=1, max=65000))

SECRET_KEY = environment.secret_key(VAR_DIR)
DEBUG = read("bool", "DEBUG", default=False)
ALLOWED_HOSTS = read("list", "ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", HOST])
CSRF_TRUSTED_ORIGINS = read("list", "CSRF_TRUSTED_ORIGINS", default=[])

# Set behind a TLS proxy: cookies become secure, HTTP is redirected, HSTS is announced.
IS_TLS = read("bool", "BEHIND_TLS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = IS_TLS
SECURE_HSTS_SECONDS = 31_536_000 if IS_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_TLS else None
SESSION_COOKIE_HTTPONLY = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "axes",
    "csp",
    "django_htmx",
    "annotation",
    "ml",
    "inspection",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "inspection.middleware.PlantTimezoneMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "inspection.config.urls"
ASGI_APPLICATION = "inspection.config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "inspection.context_processors.navigation",
            ],
            "builtins": ["annotation.templatetags.ui"],
        },
    }
]

# ---------------------------------------------------------------- records

DATABASE_URL = read("str", "DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'inspection.sqlite3'}")
DATABASES = {"default": dj_database_url.parse(DATABASE_URL, conn_max_age=0)}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Writers queue instead of failing: WAL lets readers go on, immediate transactions take the
    # write lock at their start, and the busy timeout is how long they wait for it. A commit is on the disk
    # when it returns: a line forgets what it delivered, so a delivered verdict must survive a power cut.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }
    # A file, as in production: tests share it with the worker and line processes that they start.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "tests.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ---------------------------------------------------------------- people

AUTH_USER_MODEL = "annotation.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"
AXES_FAILURE_LIMIT = read("int", "LOGIN_FAILURE_LIMIT", default=8, validate=validate.Range(min=1))
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "registration/locked_out.html"
AXES_VERBOSE = False

# ---------------------------------------------------------------- Redis: channels, cache, Celery

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "live"},
    }
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}

CELERY_BROKER_URL = environment.celery_broker_url(REDIS_URL)
# Only for chords, which count their parts: a fold's result is empty. It must outlive the longest training.
CELERY_RESULT_BACKEND = CELERY_BROKER_URL
CELERY_RESULT_EXPIRES = 30 * 24 * 3600
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "io"
CELERY_TASK_ROUTES = {
    "ml.tasks.requeue_lost_jobs": {"queue": "io"},
    "ml.tasks.*": {"queue": "cpu", "priority": 3},  # in Redis 0 comes first
}
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 7 * 24 * 3600,
    # A broker that is away is told within a second: what was asked for waits in its row and is found there.
    "max_retries": 2,
    "interval_start": 0.1,
    "interval_step": 0.2,
    "interval_max": 0.5,
}
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {
    "retry_policy": {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Trainings, and folds of them, that this machine runs at a time. On a few cores they only slow each other.
TRAININGS_AT_ONCE = read("int", "TRAININGS_AT_ONCE", default=1, validate=validate.Range(min=1, max=64))
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "requeue-lost-training-jobs": {
        "task": "ml.tasks.requeue_lost_jobs",
        "schedule": 30.0,
        "options": {"expires": 30.0},  # a busy worker finds one look waiting, not hundreds
    },
    "requeue-lost-imports": {"task": "annotation.tasks.requeue_lost_imports", "schedule": 30.0},
}

# ---------------------------------------------------------------- files

MEDIA_ROOT = VAR_DIR / "media"
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [
    BASE_DIR / "static",
    ("vendor/plotly", str(Path(plotly.__file__).parent / "package_data")),
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "inspection.staticfiles.HashedModulesStorage"},
}
WHITENOISE_MAX_AGE = 3600
MAX_IMAGE_PIXELS = read("int", "MAX_IMAGE_PIXELS", default=100_000_000, validate=validate.Range(min=1))
MAX_IMAGE_BYTES = read("int", "MAX_IMAGE_BYTES", default=100_000_000, validate=validate.Range(min=1))
MAX_UPLOAD_BYTES = read("int", "MAX_UPLOAD_BYTES", default=20_000_000_000, validate=validate.Range(min=1))
DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000_000
FILE_UPLOAD_TEMP_DIR = str(VAR_DIR / "uploads")
Path(FILE_UPLOAD_TEMP_DIR).mkdir(parents=True, exist_ok=True)

# ---------------------------------------------------------------- REST

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["annotation.permissions.RolePermission"],
    "DEFAULT_PAGINATION_CLASS": "annotation.api.paging.NewestFirst",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "annotation.api.errors.handle_exception",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.ScopedRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"login": "10/min"},
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
REST_KNOX = {"TOKEN_TTL": None, "AUTH_HEADER_PREFIX": "Token"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Inspection API",
    "VERSION": "1",
    "DESCRIPTION": "Datasets, training, models, lines, verdicts. Sizes are (height, width); times are UTC.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    # Fields of one name with different choices, named apart.
    "ENUM_NAME_OVERRIDES": {
        "VerdictEnum": "inspection.choices.Verdict.choices",
        "OkOrNgEnum": [("OK", "OK"), ("NG", "NG")],
        "DeploymentStateEnum": "inspection.choices.DeploymentState.choices",
        "JobStateEnum": "ml.choices.JobState.choices",
        "ImportStateEnum": "annotation.choices.ImportState.choices",
    },
}

# ---------------------------------------------------------------- browser

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        # Plotly and Tabler set style attributes from script.
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
PLANT_TIME_ZONE = read("str", "PLANT_TIME_ZONE", default="UTC")

# ---------------------------------------------------------------- training and the line

ML_WEIGHTS_DIR = read("path", "ML_WEIGHTS_DIR", default=VAR_DIR / "weights")
LINE_DIR = VAR_DIR / "lines"
ARTEFACT_DIR = VAR_DIR / "models"
CHECKPOINT_DIR = VAR_DIR / "checkpoints"
# What a training may take at most; 0: what this machine has.
TRAINING_MEMORY_MB = read("int", "TRAINING_MEMORY_MB", default=0)
# Of one run of a network on a line; 0: as many as there are cores.
SERVING_THREADS = read("int", "SERVING_THREADS", default=0)

LOG_LEVEL = read("log_level", "LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "axes": {"level": "WARNING"},
        "onnx_ir": {"level": "WARNING"},
        "onnxscript": {"level": "WARNING"},
        "pymodbus": {"level": "CRITICAL"},
    },
}
