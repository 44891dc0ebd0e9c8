"""Django's own commands: `python -m {{ cookiecutter.package_name }} runserver`."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"{__package__}.settings")
execute_from_command_line(sys.argv)
