"""Tests of the template: it is baked by real cookiecutter, and the projects are judged by their own tools."""
