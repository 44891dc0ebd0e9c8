"""What is said to GitLab, as values: pure descriptions of requests and of answers.

The class in `github` has the same methods: whoever uses them does not know which forge it is.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from releaselib.forge.rest import Answer, Repository, Request, Variable, archived, below
from releaselib.forge.target import Target


@dataclass(frozen=True)
class GitLab:
    """GitLab's REST interface, version 4."""

    target: Target
    git_user = "oauth2"
    headers = MappingProxyType({"Accept": "application/json"})
    whoami = Request("GET", "/user")
    about_token = Request("GET", "/personal_access_tokens/self")

    @property
    def root(self) -> str:
        return f"{self.target.url}/api/v4"

    def _project(self, *rest: str) -> str:
        return below("projects", self.target.path, *rest)

    def login(self, data: Any) -> str:
        return str(data["username"])

    def granted(self, who: Answer, token: Answer | None) -> frozenset[str]:
        """What the token may do; empty when the forge does not say."""
        return frozenset(token.data["scopes"]) if token and token.status == 200 else frozenset()

    def needed(self, *, workflows: bool) -> list[frozenset[str]]:
        """The scopes that a token needs: one out of each set."""
        return [frozenset({"api"})]

    def owner(self, login: str) -> Request | None:
        return Request("GET", below("namespaces", self.target.namespace))

    def owner_path(self, data: Any) -> str:
        return str(data["full_path"])

    def look(self) -> Request:
        return Request("GET", self._project())

    def create(self, owner: Any) -> Request:
        return Request(
            "POST",
            "/projects",
            {
                "name": self.target.name,
                "path": self.target.name,
                "namespace_id": owner["id"],
                "visibility": self.target.visibility,
                "description": self.target.description,
                "initialize_with_readme": False,
            },
        )

    def repository(self, data: Any) -> Repository:
        deleted = data.get("marked_for_deletion_on") or data.get("marked_for_deletion_at")
        return Repository(
            data["path_with_namespace"],
            data["visibility"],
            data["ssh_url_to_repo"],
            "marked for deletion" if deleted else archived(data),
        )

    def release(self, tag: str) -> Request:
        return Request("GET", self._project("releases", tag))

    def make_release(self, tag: str, notes: str) -> Request:
        return Request("POST", self._project("releases"), {"tag_name": tag, "name": tag, "description": notes})

    def release_url(self, data: Any) -> str:
        return f"{self.target.web_url}/-/releases/{quote(data['tag_name'], safe='')}"

    def protection(self, branch: str) -> Request:
        return Request("GET", self._project("protected_branches", branch))

    def protect(self, branch: str) -> Request:
        return Request(
            "POST",
            self._project("protected_branches"),
            {"name": branch, "push_access_level": 40, "merge_access_level": 30, "allow_force_push": False},
        )

    def variable(self, name: str) -> Request:
        return Request("GET", self._project("variables", name))

    def add_variable(self, variable: Variable) -> Request:
        return Request("POST", self._project("variables"), {"key": variable.name, **self._value(variable)})

    def change_variable(self, variable: Variable) -> Request:
        return Request("PUT", self._project("variables", variable.name), self._value(variable))

    def _value(self, variable: Variable) -> dict[str, Any]:
        return {"value": variable.value, "masked": variable.secret, "protected": True, "raw": True}
