"""What is said to GitHub, as values: pure descriptions of requests and of answers.

The class in `gitlab` has the same methods: whoever uses them does not know which forge it is.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

from releaselib.forge.rest import Answer, Repository, Request, Variable, archived, below
from releaselib.forge.target import PUBLIC, Target


@dataclass(frozen=True)
class GitHub:
    """GitHub's REST interface, on its own servers and on the team's."""

    target: Target
    git_user = "x-access-token"
    headers = MappingProxyType({"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"})
    whoami = Request("GET", "/user")
    about_token = None

    @property
    def root(self) -> str:
        url = urlsplit(self.target.url)
        if self.target.url == PUBLIC["github"] or (url.hostname or "").endswith(".ghe.com"):
            return f"{url.scheme}://api.{url.netloc}"
        return f"{self.target.url}/api/v3"

    def _repo(self, *rest: str) -> str:
        return below("repos", self.target.namespace, self.target.name, *rest)

    def login(self, data: Any) -> str:
        return str(data["login"])

    def granted(self, who: Answer, token: Answer | None) -> frozenset[str]:
        """What the token may do; empty when the forge does not say (fine-grained tokens)."""
        return frozenset(who.headers.get("x-oauth-scopes", "").replace(",", " ").split())

    def needed(self, *, workflows: bool) -> list[frozenset[str]]:
        """The scopes that a token needs: one out of each set."""
        public = {"public_repo"} if self.target.visibility == "public" else set()
        return [frozenset({"repo", *public}), *([frozenset({"workflow"})] if workflows else [])]

    def owner(self, login: str) -> Request | None:
        own = self.target.namespace.lower() == login.lower()
        return None if own else Request("GET", below("orgs", self.target.namespace))

    def owner_path(self, data: Any) -> str:
        return str(data["login"])

    def look(self) -> Request:
        return Request("GET", self._repo())

    def create(self, owner: Any) -> Request:
        path = below("orgs", self.target.namespace, "repos") if owner else "/user/repos"
        return Request(
            "POST",
            path,
            {
                "name": self.target.name,
                "private": self.target.visibility == "private",
                "description": self.target.description,
                "auto_init": False,
            },
        )

    def repository(self, data: Any) -> Repository:
        visibility = data.get("visibility") or ("private" if data["private"] else "public")
        return Repository(data["full_name"], visibility, data["ssh_url"], archived(data))

    def release(self, tag: str) -> Request:
        return Request("GET", self._repo("releases", "tags", tag))

    def make_release(self, tag: str, notes: str) -> Request:
        return Request("POST", self._repo("releases"), {"tag_name": tag, "name": tag, "body": notes})

    def release_url(self, data: Any) -> str:
        return f"{self.target.web_url}/releases/tag/{quote(data['tag_name'], safe='')}"

    def protection(self, branch: str) -> Request:
        return Request("GET", self._repo("branches", branch, "protection"))

    def protect(self, branch: str) -> Request:
        return Request(
            "PUT",
            self._repo("branches", branch, "protection"),
            {
                "required_status_checks": None,
                "enforce_admins": False,
                "required_pull_request_reviews": None,
                "restrictions": None,
                "allow_force_pushes": False,
                "allow_deletions": False,
            },
        )

    def variable(self, name: str) -> Request:
        return Request("GET", self._repo("actions", "variables", name))

    def add_variable(self, variable: Variable) -> Request:
        return Request("POST", self._repo("actions", "variables"), {"name": variable.name, "value": variable.value})

    def change_variable(self, variable: Variable) -> Request:
        return Request(
            "PATCH", self._repo("actions", "variables", variable.name), {"name": variable.name, "value": variable.value}
        )

    def secret_key(self) -> Request:
        return Request("GET", self._repo("actions", "secrets", "public-key"))

    def put_secret(self, name: str, encrypted: str, key_id: str) -> Request:
        return Request("PUT", self._repo("actions", "secrets", name), {"encrypted_value": encrypted, "key_id": key_id})
