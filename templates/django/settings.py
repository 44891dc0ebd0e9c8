"""Settings. What differs from host to host comes from the environment.

The profile `dev` (your machine, stage `local`) needs nothing. Any other needs DJANGO_ALLOWED_HOSTS
and one of DJANGO_SECRET_KEY and DJANGO_SECRET_KEY_FILE: add them to `environment` in
conf/supervisord.conf.j2, the key as a file that only the app's user can read.
"""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

PROFILE = os.environ.get("RELEASE_PROFILE", "dev")
DEBUG = False


def _secret_key() -> str:
    if key := os.environ.get("DJANGO_SECRET_KEY"):
        return key
    if file := os.environ.get("DJANGO_SECRET_KEY_FILE"):
        return Path(file).read_text("utf-8").strip()
    if PROFILE == "dev":
        return get_random_secret_key()
    raise ImproperlyConfigured(f"profile {PROFILE} needs DJANGO_SECRET_KEY_FILE: see settings.py")


def _allowed_hosts() -> list[str]:
    if hosts := os.environ.get("DJANGO_ALLOWED_HOSTS"):
        return [host.strip() for host in hosts.split(",")]
    if PROFILE == "dev":
        return ["localhost", "127.0.0.1", "[::1]"]
    raise ImproperlyConfigured(f"profile {PROFILE} needs DJANGO_ALLOWED_HOSTS: see settings.py")


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = _allowed_hosts()
INSTALLED_APPS: list[str] = []
MIDDLEWARE = [
    "{{ cookiecutter.package_name }}.views.health_check",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "{{ cookiecutter.package_name }}.urls"
WSGI_APPLICATION = "{{ cookiecutter.package_name }}.wsgi.application"
DATABASES: dict[str, dict[str, str]] = {}  # none yet; a slot is thrown away, so keep data elsewhere

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# nginx says by this header whether the visitor came by https.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = PROFILE != "dev"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
