"""A stage that was made when a switch was another upstream file and a reload: its next release changes that."""

from __future__ import annotations

import shutil

import pytest

from releaselib.actions import machines, release
from rig import Host, wait_for
from rig.visitors import LISTEN

from .shop import FOLDER, Shop

pytestmark = pytest.mark.hosts

NGINX = f"/{FOLDER}/nginx"
MAIN = """
pid "{nginx}/nginx.pid";
error_log "{nginx}/error.log";
worker_shutdown_timeout 3s;
events {{}}
http {{
    access_log off;
    include "{nginx}/site.conf";
}}
"""
SITE = """
include "{nginx}/upstream.conf";
map $http_upgrade $my_service_release_connection {{ default upgrade; '' ''; }}
server {{
    listen {listen};
    location = /-/release {{ return 200 "$my_service_release\\n"; }}
    location / {{
        proxy_pass http://my_service;
        proxy_http_version 1.1;
        proxy_set_header Connection $my_service_release_connection;
        proxy_set_header Upgrade $http_upgrade;
    }}
}}
"""
UPSTREAM = """# {slot} {version}
map "" $my_service_release {{ default "{slot} {version}"; }}
upstream my_service {{
{servers}
    keepalive 32;
}}
"""


def make_old(shop: Shop, host: Host, slot: str, version: str) -> None:
    """Give a proxy what an older library made there, in place of what there is."""
    folder = host.root / NGINX.lstrip("/")
    shutil.rmtree(folder)
    folder.mkdir()
    servers = "\n".join(f"    server {app.address}:{port};" for app in shop.app for port in shop.ports(slot))
    for name, text in {"nginx.conf": MAIN, "site.conf": SITE, "upstream.conf": UPSTREAM}.items():
        values = {"nginx": NGINX, "listen": LISTEN, "slot": slot, "version": version, "servers": servers}
        (folder / name).write_text(text.format(**values))
    host.run(f"nginx -p {NGINX}/ -c {NGINX}/nginx.conf -e {NGINX}/error.log")


def test_a_stage_that_was_switched_by_reloads_is_brought_over_by_its_next_release(shop: Shop) -> None:
    slot, (old,), new = shop.live, shop.served(), shop.other
    with shop.losing():
        machines.control_nginx(shop.configured(), "test", "stop", yes=True)
        for host in shop.proxy:
            make_old(shop, host, slot, old)
            wait_for(lambda host=host: shop.is_up(host), f"{host.name} to be up")  # type: ignore[misc]
    assert f"{old} is live (slot {slot})" in shop.status()
    with shop.reloading():
        shop.release_again(new)
    assert shop.live != slot
    assert not any((host.root / NGINX.lstrip("/") / "upstream.conf").exists() for host in shop.proxy)
    report = release.rollback(shop.configured(), "test")
    assert (report.version, shop.served()) == (old, {old})
    assert "look at" not in shop.status()
