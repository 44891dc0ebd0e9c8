"""A stand-in for GitLab: users, groups, projects, variables, protected branches, releases."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from forges.standin import Project, Reply, StandIn

PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class GitLab(StandIn):
    """GitLab's REST interface as far as it is used, with GitLab's own words."""

    api = "/api/v4"
    auth_user = "oauth2"
    token_variable = "GITLAB_TOKEN"

    def refuse(self, status: int) -> Reply:
        words = {
            401: "401 Unauthorized",
            403: "403 Forbidden",
            404: "404 Not found",
            429: "Retry later",
            503: "Service Unavailable",
        }
        return Reply(status, {"message": words.get(status, f"{status} Error")})

    def rest(self, method: str, path: str, body: Any) -> Reply:
        kind, _, rest = path.strip("/").partition("/")
        parts = [unquote(part) for part in rest.split("/") if part]
        if kind == "projects":
            return self._projects(method, parts, body)
        if method != "GET":
            return self.refuse(404)
        if kind == "user":
            return Reply(200, {"id": 7, "username": self.login, "name": "Maria"})
        if path == "/personal_access_tokens/self":
            if self.scopes is None:
                return self.refuse(404)
            return Reply(200, {"id": 1, "scopes": self.scopes, "active": True})
        if kind == "namespaces" and parts and parts[0].lower() in [self.login, *self.groups]:
            return Reply(200, self._namespace(parts[0].lower()))
        return self.refuse(404)

    def _namespace(self, path: str) -> dict[str, Any]:
        names = [self.login, *self.groups]
        return {
            "id": 100 + names.index(path),
            "name": path,
            "path": path.split("/")[-1],
            "kind": "user" if path == self.login else "group",
            "full_path": path,
        }

    def _projects(self, method: str, parts: list[str], body: Any) -> Reply:
        if method == "POST" and not parts:
            return self._create(body)
        project = self.find(parts[0]) if parts else None
        if not project:
            return Reply(404, {"message": "404 Project Not Found"})
        if len(parts) == 1:
            return Reply(200, self._describe(project))
        return self._inside(method, project, parts[1], parts[2:], body)

    def _create(self, body: Any) -> Reply:
        names = [self.login, *self.groups]
        namespace = names[body["namespace_id"] - 100]
        if namespace in self.forbidden:
            return self.refuse(403)
        path = f"{namespace}/{body['path']}"
        if not PATH.fullmatch(body["path"]) or "bad" in body["path"]:
            return Reply(400, {"message": {"path": ["can contain only letters, digits, '_', '-' and '.'"]}})
        if path.lower() in self.projects:
            taken = ["has already been taken"]
            return Reply(400, {"message": {"name": taken, "path": taken}})
        made = self.add(path, visibility=body["visibility"], description=body["description"])
        return Reply(201, self._describe(made))

    def _describe(self, project: Project) -> dict[str, Any]:
        return {
            "id": 1,
            "name": project.path.split("/")[-1],
            "path": project.path.split("/")[-1],
            "path_with_namespace": project.path,
            "visibility": project.visibility,
            "description": project.description,
            "archived": project.archived,
            "ssh_url_to_repo": f"git@127.0.0.1:{project.path}.git",
            "http_url_to_repo": f"{self.url}/{project.path}.git",
            "web_url": f"{self.url}/{project.path}",
            "marked_for_deletion_on": "2026-11-30" if project.doomed else None,
        }

    def _inside(self, method: str, project: Project, what: str, rest: list[str], body: Any) -> Reply:
        places: dict[str, tuple[dict[str, dict[str, Any]], str]] = {
            "variables": (project.variables, "key"),
            "releases": (project.releases, "tag_name"),
            "protected_branches": (project.protected, "name"),
        }
        if what not in places:
            return self.refuse(404)
        place, key = places[what]
        name = rest[0] if rest else body.get(key, "")
        if what == "variables" and body.get("masked") and not re.fullmatch(r"\S{8,}", body["value"]):
            return Reply(400, {"message": {"value": ["is invalid"]}})
        if method == "POST" and name in place:
            return Reply(409, {"message": f"{key} already exists"})
        if what == "releases" and method == "POST" and not self.head(project.path, f"refs/tags/{name}"):
            return Reply(422, {"message": "Ref is not specified"})
        if method != "POST" and name not in place:
            return self.refuse(404)
        if method != "GET":
            place[name] = {**place.get(name, {}), **body, key: name}
        return Reply(201 if method == "POST" else 200, place[name])
