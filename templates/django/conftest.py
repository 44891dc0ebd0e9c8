import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "{{ cookiecutter.package_name }}.settings"
django.setup()
