"""A stand-in for GitHub: users, organisations, repositories, variables, secrets, releases."""

from __future__ import annotations

import base64
import re
import time
from typing import Any
from urllib.parse import unquote

from nacl.public import PrivateKey, SealedBox

from forges.standin import Project, Reply, StandIn

NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class GitHub(StandIn):
    """GitHub's REST interface as far as it is used, with GitHub's own words."""

    api = "/api/v3"
    auth_user = "x-access-token"
    token_variable = "GITHUB_TOKEN"
    key = PrivateKey.generate()

    def refuse(self, status: int) -> Reply:
        words = {401: "Bad credentials", 403: "Resource not accessible by personal access token", 404: "Not Found"}
        return Reply(status, {"message": words.get(status, "Server Error"), "status": str(status)})

    def rest(self, method: str, path: str, body: Any) -> Reply:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if method == "GET" and parts == ["user"]:
            scopes = {} if self.scopes is None else {"X-OAuth-Scopes": ", ".join(self.scopes)}
            return Reply(200, {"login": self.login, "id": 7}, scopes)
        if method == "POST" and parts == ["user", "repos"]:
            return self._create(self.login, body)
        if parts[0] == "orgs":
            return self._organisation(method, parts[1:], body)
        project = self.find("/".join(parts[1:3])) if parts[0] == "repos" else None
        if not project:
            return self.refuse(404)
        if len(parts) == 3:
            return Reply(200, self._describe(project))
        return self._inside(method, project, parts[3:], body)

    def _organisation(self, method: str, parts: list[str], body: Any) -> Reply:
        if parts[0].lower() not in self.groups:
            return self.refuse(404)
        if method == "POST" and parts[1:] == ["repos"]:
            return self._create(parts[0], body)
        return Reply(200, {"login": parts[0].lower(), "id": 9})

    def _create(self, owner: str, body: Any) -> Reply:
        if owner in self.forbidden:
            return self.refuse(403)
        path = f"{owner}/{body['name']}"
        if not NAME.fullmatch(body["name"]) or "bad" in body["name"]:
            return self._invalid("name is not allowed")
        if path.lower() in self.projects:
            return self._invalid("name already exists on this account")
        visibility = "private" if body["private"] else "public"
        made = self.add(path, visibility=visibility, description=body["description"])
        return Reply(201, self._describe(made))

    def _invalid(self, message: str) -> Reply:
        return Reply(
            422,
            {
                "message": "Repository creation failed.",
                "errors": [{"resource": "Repository", "code": "custom", "field": "name", "message": message}],
            },
        )

    def _describe(self, project: Project) -> dict[str, Any]:
        return {
            "id": 1,
            "name": project.path.split("/")[-1],
            "full_name": project.path,
            "private": project.visibility == "private",
            "visibility": project.visibility,
            "html_url": f"{self.url}/{project.path}",
            "description": project.description,
            "ssh_url": f"git@127.0.0.1:{project.path}.git",
            "archived": project.archived,
            "clone_url": f"{self.url}/{project.path}.git",
            "default_branch": "main",
        }

    def _inside(self, method: str, project: Project, parts: list[str], body: Any) -> Reply:
        if parts[:2] == ["actions", "secrets"]:
            return self._secret(method, project, parts[2], body)
        if parts[:2] == ["actions", "variables"]:
            return self._variable(method, project, parts[2] if parts[2:] else body["name"], body)
        if parts[0] == "branches" and parts[2:] == ["protection"]:
            return self._protection(method, project, parts[1], body)
        if parts[0] == "releases":
            return self._release(method, project, parts[-1] if parts[1:] else body["tag_name"], body)
        return self.refuse(404)

    def _secret(self, method: str, project: Project, name: str, body: Any) -> Reply:
        if name == "public-key":
            key = base64.b64encode(bytes(self.key.public_key)).decode()
            return Reply(200, {"key_id": "k1", "key": key})
        if body["key_id"] != "k1":
            return self._invalid("key_id")
        value = SealedBox(self.key).decrypt(base64.b64decode(body["encrypted_value"])).decode()
        known = name in project.variables
        project.variables[name] = {"value": value, "secret": True}
        return Reply(204 if known else 201, {})

    def _variable(self, method: str, project: Project, name: str, body: Any) -> Reply:
        if method == "POST":
            if name in project.variables:
                return Reply(409, {"message": "Variable already exists"})
            project.variables[name] = {"name": name, "value": body["value"]}
            return Reply(201, {})
        if name not in project.variables:
            return self.refuse(404)
        if method == "PATCH":
            project.variables[name] = {"name": name, "value": body["value"]}
            return Reply(204)
        return Reply(200, project.variables[name])

    def _protection(self, method: str, project: Project, branch: str, body: Any) -> Reply:
        if not self.head(project.path, f"refs/heads/{branch}"):
            return Reply(404, {"message": "Branch not found"})
        if method == "PUT":
            project.protected[branch] = body
        elif branch not in project.protected:
            return Reply(404, {"message": "Branch not protected"})
        return Reply(200, project.protected[branch])

    def _release(self, method: str, project: Project, tag: str, body: Any) -> Reply:
        if method == "POST":
            if tag in project.releases:
                return Reply(
                    422,
                    {
                        "message": "Validation Failed",
                        "errors": [{"resource": "Release", "code": "already_exists", "field": "tag_name"}],
                    },
                )
            if not self.head(project.path, f"refs/tags/{tag}"):
                return self._invalid("tag_name")  # GitHub itself would make the tag, on another commit
            project.releases[tag] = body
        if tag not in project.releases:
            return self.refuse(404)
        return Reply(201 if method == "POST" else 200, project.releases[tag])


def limited(ends: int | None = None) -> dict[str, str]:
    """The headers of GitHub's rate limit."""
    reset = int(time.time()) + 60 if ends is None else ends
    return {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}
