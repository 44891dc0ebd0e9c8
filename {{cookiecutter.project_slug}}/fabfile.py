"""Release tasks of {{ cookiecutter.project_slug }}: `fab --list`, `fab --help release`."""

from releaselib.tasks import namespace

__all__ = ["namespace"]

# A task of your own: write a function with `@task` (from fabric import task), then
#     namespace.add_task(the_function)
#
# A hook, one of pre_build, pre_deploy, validate, post_deploy, post_switch and on_failure:
#     from releaselib import hooks
#
#     @hooks.post_switch
#     def announce(plan):
#         print(f"{plan.release.version} is live on {plan.stage}")
