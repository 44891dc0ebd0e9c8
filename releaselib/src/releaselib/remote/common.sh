# Goes in front of every script that runs on a host.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
umask 022

say() { printf '%s\n' "$*" >&2; }

fail() { # fail CODE WORDS...
    code=$1
    shift
    say "$*"
    exit "$code"
}

# The Python that release.toml asks for: a path, a version like 3.12, or any python3.
find_python() {
    case $1 in
        */*) command -v "$1" || return 1 ;;
        '') command -v python3 || return 1 ;;
        *) command -v "python$1" || return 1 ;;
    esac
}

# One release at a time works on a host; another waits for it. Frees itself with the process.
lock_host() { # lock_host PREFIX
    mkdir -p "$1" && [ -w "$1" ] || fail 70 "cannot write to $1"
    exec 9>"$1/host.lock"
    flock -w 60 9 || fail 75 "another release is at work on this host (held: $1/host.lock)"
}

# A pid file outlives a power cut, and its number may be another process by then: so its command must
# be the one that is meant.
alive() { # alive PIDFILE WORDS
    [ -s "$1" ] && grep -aqsF -- "$2" "/proc/$(cat "$1")/cmdline"
}

# Wait until a pid is gone: up to 45 s politely (supervisord waits up to 40 s itself), then by force.
wait_gone() { # wait_gone PID
    n=0
    while kill -0 "$1" 2>/dev/null; do
        n=$((n + 1))
        if [ "$n" -eq 450 ]; then kill -KILL "$1" 2>/dev/null || true; fi
        [ "$n" -lt 500 ] || fail 1 "process $1 does not end"
        sleep 0.1
    done
}

# supervisord looks after its processes once a second, or at once when somebody knocks at its socket.
knock_until_gone() { # knock_until_gone PID SOCKET
    "${python:-python3}" -c '
import contextlib, os, socket, sys, time
end = time.monotonic() + 45
with contextlib.suppress(ProcessLookupError):
    while time.monotonic() < end:
        os.kill(int(sys.argv[1]), 0)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as knock:
            knock.connect(sys.argv[2])
        time.sleep(0.05)
' "$1" "$2" || true
}

# Bytecode lies outside the slot, which is built anew each time: what a release shares with the one that
# was there before it needs no compiling. Bytecode belongs to a source by its time and size (PEP 552), and uv
# links the same file into each slot.
start_slot() { # start_slot PREFIX FOLDER: its supervisord, which must not inherit the lock
    PYTHONPYCACHEPREFIX="$1/cache/bytecode" \
        "$2/tools/bin/supervisord" -c "$2/supervisord.conf" 9>&- </dev/null >"$2/log/start.log" 2>&1 || {
        cat "$2/log/start.log" >&2
        fail 73 "supervisord does not start"
    }
}

stop_slot() { # stop_slot FOLDER: its supervisord, and with it all its processes
    alive "$1/run/supervisord.pid" "$1/supervisord.conf" || return 0
    pid=$(cat "$1/run/supervisord.pid")
    kill -TERM "$pid" 2>/dev/null || true
    knock_until_gone "$pid" "$1/run/supervisor.sock"
    wait_gone "$pid"
}

# nginx as the stage wants it: its own master below PREFIX, or the one of the system.
nginx_() { # nginx_ MODE SUDO PREFIX ARGUMENTS...
    mode=$1 sudo=$2 prefix=$3
    shift 3
    if [ "$mode" = own ]; then
        nginx -p "$prefix/nginx/" -c "$prefix/nginx/nginx.conf" -e "$prefix/nginx/error.log" "$@"
    else
        as_root "$sudo" nginx "$@"
    fi
}

as_root() { # as_root SUDO COMMAND...
    sudo=$1
    shift
    if [ "$sudo" = yes ] && [ "$(id -u)" -ne 0 ]; then sudo -n "$@"; else "$@"; fi
}

# Write the files of a JSON object (standard input: name -> text), readable by their owner only.
unpack_files() { # unpack_files PYTHON FOLDER
    "$1" -c '
import json, os, sys
for name, text in json.load(sys.stdin).items():
    path = os.path.join(sys.argv[1], name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
' "$2"
}

nginx_pid() { # nginx_pid MODE PREFIX
    if [ "$1" = own ]; then echo "$2/nginx/nginx.pid"; else echo /run/nginx.pid; fi
}

# Start nginx, or let a running one take the new configuration.
start_nginx() { # start_nginx MODE SUDO PREFIX
    if nginx_alive "$1" "$3"; then
        nginx_ "$1" "$2" "$3" -s reload 9>&-
    elif [ "$1" = system ] && [ -d /run/systemd/system ]; then
        as_root "$2" systemctl start nginx
    else
        nginx_ "$1" "$2" "$3" 9>&-
    fi
}

nginx_alive() { # nginx_alive MODE PREFIX
    if [ "$1" = own ]; then words=$2/nginx/nginx.conf; else words='nginx: master process'; fi
    alive "$(nginx_pid "$1" "$2")" "$words"
}
