# shellcheck shell=bash
# Sourced by scripts/demo and scripts/test: what both need on a fresh Debian or Ubuntu.
#
# Installs, as root, the Debian packages that are missing out of git, nginx-light, openssh-server,
# openssh-client, iproute2, cron, sudo, faketime, openssl, postgresql, redis-server and python3-venv; another user is
# told the line to type.
# Makes a virtualenv in .venv with the developers' packages and releaselib from this checkout. Safe to run
# again.

cd "$(dirname "$0")/.." || exit 1

missing=()
need() { # need PROGRAM PACKAGE
    PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || missing+=("$2")
}
need git git
need nginx nginx-light
need sshd openssh-server
need ssh openssh-client
need ip iproute2
need cron cron
need sudo sudo
need faketime faketime
need openssl openssl
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
need redis-server redis-server
need python3 python3
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)

if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "missing here; install it and run this again:" >&2
        echo "    sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
    echo "installing Debian packages: ${missing[*]}"
    # A package that brings a service must not start it on this machine.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d.releaselib
    chmod 0755 /usr/sbin/policy-rc.d.releaselib
    [ -e /usr/sbin/policy-rc.d ] || ln -s policy-rc.d.releaselib /usr/sbin/policy-rc.d
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    [ "$(readlink /usr/sbin/policy-rc.d)" != policy-rc.d.releaselib ] || rm /usr/sbin/policy-rc.d
    rm /usr/sbin/policy-rc.d.releaselib
fi
export PATH=$PATH:/usr/sbin:/sbin

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "Python 3.10 or newer is needed; python3 here is $(python3 --version)" >&2
    exit 1
}
# As pip does, so that a registry behind a private CA works for both.
if [ -s /etc/ssl/certs/ca-certificates.crt ]; then export UV_SYSTEM_CERTS=true; fi
if [ ! -x .venv/bin/uv ]; then
    echo "making .venv"
    python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
fi
.venv/bin/uv pip install --quiet --python .venv --group dev --editable releaselib
export PATH=$PWD/.venv/bin:$PATH
