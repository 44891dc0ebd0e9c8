"""The demo: every command is shown before it runs; the last lines are the sum."""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from rig import supported
from rig.visitors import DIRECT, LISTEN, Visitors, ask
from rig.world import ROOT, Project, World, world

COUNT = "| wc -l | xargs echo wheels uploaded:"


def show(command: str) -> None:
    """A command as it would be typed."""
    print(f"\n$ {command}", flush=True)


def run(team: World, command: str, cwd: Path, **env: str) -> str:
    """Show a command, run it, show what it says; a failure ends the demo."""
    show(command)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=cwd,
        env=team.env | env,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    print(done.stdout.rstrip(), flush=True)
    if done.returncode:
        sys.exit(f"demo: this failed with exit code {done.returncode}: {command}")
    return done.stdout


def publish_releaselib(team: World, folder: Path) -> str:
    """Build releaselib with its own tasks, publish it to the team's index, install it from there."""
    show("# releaselib is released to the team's index by its own tasks ...")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / "essay-template")], check=True)
    checkout = folder / "essay-template"
    # The repository that it came from gets no tag of the demo.
    subprocess.run(["git", "remote", "remove", "origin"], cwd=checkout, check=True)
    settings = (checkout / "release.toml").read_text().replace("http://index.internal:8080/", team.server.url)
    (checkout / "release.toml").write_text(settings)
    run(team, "fab build --ref HEAD --json > ../built.json && fab publish --built ../built.json", checkout)
    show("# ... and installed from there, with its dependencies, as every developer of the team does")
    tools = folder / "tools"
    run(team, "fab index.sync | wc -l | xargs echo wheels uploaded:", checkout)
    run(
        team,
        f"uv venv --quiet {tools} && uv pip install --quiet --python {tools} "
        f"--default-index {team.server.url}simple/ releaselib && {tools}/bin/fab --version",
        folder,
    )
    return str(tools / "bin")


def bake(team: World, folder: Path) -> Project:
    """A project from a git URL, as a stranger would."""
    show("# a project from the template, by its git URL")
    answers = "project_name='My Shop' flavour=flask forge=none __port_base=8800"
    run(team, f"cookiecutter --no-input git+file://{ROOT} {answers}", folder)
    return Project(team, folder / "my-shop")


def change(project: Project) -> None:
    """A change that visitors will see."""
    file = next(project.folder.glob("src/*/settings.py"))
    text = file.read_text()
    changed = text.replace('"Hello"', '"Good morning"')
    if changed == text:
        sys.exit("demo: the settings say no hello that could be changed")
    file.write_text(changed)


def visit(address: str) -> str:
    """What a visitor reads at the start page, in one line."""
    with DIRECT.open(f"http://{address}:{LISTEN}/", timeout=10) as answer:
        page = str(answer.read().decode())
    print(f"visitor at http://{address}:{LISTEN}/ reads: {' '.join(page.split())}", flush=True)
    return page


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="./scripts/demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running until ctrl-c")
    keep = parser.parse_args().keep
    reason = supported()
    if reason:
        sys.exit(f"demo: no hosts can be made here: {reason}\nRun it as root: sudo ./scripts/demo")
    folder = Path(tempfile.mkdtemp(prefix="demo-"))
    try:
        with world(folder / "fleet", folder / "index") as team:
            demo(team, folder)
            if keep:
                print(
                    f"\nleft running: proxy http://{proxy(team)}:{LISTEN}/, index {team.server.url}simple/, "
                    f"project {folder}/my-shop; ctrl-c stops it all",
                    flush=True,
                )
                signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def proxy(team: World) -> str:
    """The proxy's address."""
    return team.fleet.hosts["proxy1"].address


def demo(team: World, folder: Path) -> None:
    """The story."""
    show("# two app hosts and a proxy: real sshd, nothing on them but Python, nginx on the proxy")
    app, proxies = team.fleet.add_many(2, "app"), team.fleet.add_many(1, "proxy")
    print(", ".join(f"{host.name} {host.address}" for host in (*app, *proxies)))
    tools = publish_releaselib(team, folder)
    path = {"PATH": f"{tools}:{team.env['PATH']}"}
    project = bake(team, folder)
    stage = team.stage(app, proxies, "production")
    show("cat >> release.toml")
    print(stage)
    project.configure(stage)
    address = proxies[0].address
    run(team, f"fab index.sync --stage production {COUNT}", project.folder, **path)
    run(team, "fab release --stage production", project.folder, **path)
    before = visit(address)
    show("# a change is committed and released while visitors come and go")
    change(project)
    run(team, "git commit -qam 'Greet by the time of day' && git show --stat --format=%s HEAD", project.folder)
    with Visitors([address]) as visitors:
        run(team, "fab release --stage production", project.folder, **path)
        after = visit(address)
        run(team, "fab rollback --stage production", project.folder, **path)
        back = visit(address)
        run(team, "fab status --stage production", project.folder, **path)
    if before == after or "Good morning" not in after or "Good morning" in back:
        sys.exit("demo: visitors did not see the releases that they should have seen")
    versions = sorted({version for _, _, version in visitors.answers})
    print(f"\nreleases: 2 ({' and '.join(versions)}), then a rollback: {ask(address)} is live")
    sent = len(visitors.answers) + len(visitors.failed)
    print(f"requests sent by visitors: {sent}, {len(visitors.failed)} failed")
    if visitors.failed:
        sys.exit("\n".join(words for _, _, words in visitors.failed[:5]))


if __name__ == "__main__":
    main()
