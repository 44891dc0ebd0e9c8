"""What CI needs on the forge: variables for the package index, and a branch nobody can rewrite."""

import base64
import re
from collections.abc import Iterable

from releaselib.errors import ConfigError, Refused
from releaselib.forge.client import PATIENCE, Client, Patience, Say, connect, tell
from releaselib.forge.github import GitHub
from releaselib.forge.rest import Variable
from releaselib.forge.target import COMMAND, Target, Token, accounted

NAME = re.compile(r"(?!GITHUB_|CI_)[A-Za-z_][A-Za-z0-9_]{0,254}")
AGAIN = f"{COMMAND} --ci"


def set_up_ci(
    target: Target,
    token: Token,
    variables: Iterable[Variable],
    branch: str,
    *,
    say: Say = tell,
    patience: Patience = PATIENCE,
) -> None:
    """Store variables for CI jobs, then protect the branch; what is there is not done twice."""
    wanted = tuple(variables)
    check_variables(wanted)
    done: list[str] = []

    def tick(line: str) -> None:
        done.append(line)
        say(line)

    with accounted(lambda: [f"on the forge: {'; '.join(done) or 'nothing was changed'}"], AGAIN):
        client = connect(target, token, patience)
        for variable in wanted:
            _store(client, variable)
            tick(f"the CI variable {variable.name} is set")
        tick(_protect(client, branch))


def check_variables(variables: Iterable[Variable]) -> None:
    """Refuse what no forge would store. Pure."""
    for variable in variables:
        if not NAME.fullmatch(variable.name):
            raise ConfigError(
                f"{variable.name!r} is no name for a CI variable: letters, digits "
                "and '_', no digit first, neither GITHUB_ nor CI_ in front"
            )
        if not variable.value:
            raise ConfigError(f"the CI variable {variable.name} has no value")


def sealed(key: str, value: str) -> str:
    """A value as only GitHub can open it, with the public key that it gave. Pure but for chance."""
    try:
        from nacl.public import PublicKey, SealedBox
    except ImportError:
        raise Refused(
            "GitHub's secrets need PyNaCl, which is not installed in this Python",
            next_step=f"install PyNaCl, then: {AGAIN}",
        ) from None
    box = SealedBox(PublicKey(base64.b64decode(key)))
    return base64.b64encode(box.encrypt(value.encode())).decode()


def _store(client: Client, variable: Variable) -> None:
    doing = f"setting the CI variable {variable.name}"
    speech = client.dialect
    if isinstance(speech, GitHub) and variable.secret:
        answer = client.expect(speech.secret_key(), (200,), doing)
        key, key_id = client.read(lambda data: (data["key"], data["key_id"]), answer, doing)
        client.expect(speech.put_secret(variable.name, sealed(key, variable.value), key_id), (201, 204), doing)
        return
    there = client.expect(speech.variable(variable.name), (200, 404), doing).status == 200
    change = speech.change_variable if there else speech.add_variable
    client.expect(change(variable), (200, 201, 204), doing)


def _protect(client: Client, branch: str) -> str:
    doing = f"protecting the branch {branch}"
    if client.expect(client.dialect.protection(branch), (200, 404), doing).status == 200:
        return f"the branch {branch} was protected before; its rules were left as they are"
    client.expect(client.dialect.protect(branch), (200, 201, 409), doing)
    return f"the branch {branch} is protected"
