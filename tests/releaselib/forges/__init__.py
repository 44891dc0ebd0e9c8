"""Stand-ins for GitLab and GitHub: they keep state, speak REST and git over HTTP, and fail on demand.

with GitLab() as forge:
    forge.fault("POST", "/projects", "reset after")
    create_repository(project, Target("gitlab", "shop", "team", forge.url), Token(forge.token))
    assert forge.head("team/shop") == ...
"""

from forges.github import GitHub
from forges.gitlab import GitLab
from forges.judge import complaints, missing
from forges.standin import Fault, Recorded, StandIn

KINDS: dict[str, type[StandIn]] = {"gitlab": GitLab, "github": GitHub}

__all__ = ["KINDS", "Fault", "GitHub", "GitLab", "Recorded", "StandIn", "complaints", "missing"]
