"""Release Python projects to plain Linux servers through the team's own package index.

The names here are what docs/functions.md promises, and nothing else is public. Each is imported when it is
asked for, so ``import releaselib`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from releaselib.actions.by_hand import (
        console as console,
        follow as follow,
        run_in_slot as run_in_slot,
        shell as shell,
    )
    from releaselib.actions.indexes import list_index as list_index, serve_index as serve_index, sync as sync
    from releaselib.actions.machines import (
        control_nginx as control_nginx,
        execute as execute,
        logs as logs,
        maintain as maintain,
    )
    from releaselib.actions.programs import move_programs as move_programs
    from releaselib.actions.rehearse import doctor as doctor, drill as drill
    from releaselib.actions.release import (
        deploy as deploy,
        join as join,
        plan as plan,
        quickdeploy as quickdeploy,
        release as release,
        rollback as rollback,
        switch as switch,
        sync_proxies as sync_proxies,
    )
    from releaselib.actions.repository import (
        create_repository as create_repository,
        make_release as make_release,
        update_template as update_template,
    )
    from releaselib.actions.slots import (
        remove as remove,
        settings as settings,
        supervise as supervise,
        validate as validate,
    )
    from releaselib.actions.status import (
        freeze as freeze,
        history as history,
        lock_state as lock_state,
        status as status,
    )
    from releaselib.actions.wheels import (
        build as build,
        latest_version as latest_version,
        next_version as next_version,
        publish as publish,
    )
    from releaselib.config.file import load as load
    from releaselib.decide.release import Wanted as Wanted

PUBLIC = {
    "actions.by_hand": "console follow run_in_slot shell",
    "actions.indexes": "list_index serve_index sync",
    "actions.machines": "control_nginx execute logs maintain",
    "actions.programs": "move_programs",
    "actions.rehearse": "doctor drill",
    "actions.release": "deploy join plan quickdeploy release rollback switch sync_proxies",
    "actions.repository": "create_repository make_release update_template",
    "actions.slots": "remove settings supervise validate",
    "actions.status": "freeze history lock_state status",
    "actions.wheels": "build latest_version next_version publish",
    "config.file": "load",
    "decide.release": "Wanted",
}


def __getattr__(name: str) -> Any:
    module = next((module for module, names in PUBLIC.items() if name in names.split()), "")
    if not module:
        raise AttributeError(f"module 'releaselib' has no attribute {name!r}")
    return getattr(importlib.import_module(f"releaselib.{module}"), name)
