# Goes in front of every script that runs on a host. Before it stand the variables that the script takes,
# and of every stage: python, nginx_of, sudo, and the paths of config/paths.py.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
umask 022

say() { printf '%s\n' "$*" >&2; }

fail() { # fail CODE WORDS...: what a code means stands in hosts/scripts.py
    code=$1
    shift
    say "$*"
    exit "$code"
}

no_room() { # no_room PATH: it cannot be written, for whatever reason
    free=$(df -Pk "$(dirname "$1")" 2>/dev/null | awk 'NR == 2 { print $4 " KiB free on " $6 }')
    free=$free$(df -Pi "$(dirname "$1")" 2>/dev/null | awk 'NR == 2 && $2 > 0 && $4 == 0 { print ", and no file more" }')
    fail 70 "cannot write to $1 (as $(id -un); ${free:-there is no such folder})"
}

last_lines() { # last_lines NUMBER LOG: on stderr, each as far as anybody reads
    [ -s "$2" ] || return 0
    say "--- last lines of $2"
    tail -c 20000 "$2" | tail -n "$1" | cut -b 1-500 >&2
}

# What a power cut leaves of it is whole then. coreutils before 8.24 can only sync all there is.
on_disk() { # on_disk PATH...: with the whole file system that it is on
    sync -f "$@" 2>/dev/null || sync
}

need_python() { # the one that release.toml asks for: a path, a version like 3.12, or any python3
    wished=${python:-3}
    case $wished in */*) ;; *) python=python${wished#python} ;; esac
    command -v "$python" >/dev/null || fail 69 "no Python $wished on this host"
}

# The one way to run a program of this folder: by the stage's Python, its standard library and nothing else.
# At its end Python looks through all that it has, twice, to free it: not through what is frozen.
run_python() { # run_python PROGRAM ARGUMENTS...
    whole="import atexit, gc
atexit.register(gc.freeze)
$1"
    shift
    "$python" -IS -c "$whole" "$@"
}

# The first line of a file, which cat would tell in a process of its own: each of these takes a millisecond of every host.
line_of() { # line_of FILE: sets line; fails where there is none
    line=
    { IFS= read -r line <"$1"; } 2>/dev/null || [ -n "$line" ]
}

# One release at a time works on a host; another waits for it. Frees itself with the process. Whoever comes
# with a lower fence than one that was here before has lost the lock of the stage to somebody.
lock_host() {
    [ -d "$prefix" ] || mkdir -p "$prefix" || no_room "$prefix"
    [ -w "$prefix" ] || no_room "$prefix"
    exec 9>"$host_lock"
    flock -w 60 9 || fail 75 "another release is at work on this host (held: $host_lock)"
    line_of "$fence_file" || true
    case $line in '' | *[!0-9]*) highest=0 ;; *) highest=$line ;; esac # a power cut left it half written
    [ "$fence" -ge "$highest" ] || fail 81 "the lock of the stage was taken by somebody else meanwhile"
    [ "$fence" -eq "$highest" ] || {
        echo "$fence" >"$fence_file.new" && mv -fT "$fence_file.new" "$fence_file"
    } || no_room "$fence_file"
}

# A pid file outlives a power cut, and its number may be another process by then: so its command must
# be the one that is meant.
alive() { # alive PIDFILE WORDS: sets pid
    line_of "$1" && pid=$line && runs_as "$pid" "$2"
}
runs_as() { # runs_as PID WORDS
    line_of "/proc/$1/cmdline" && case $line in *"$2"*) ;; *) return 1 ;; esac
}

# Bytecode lies outside the slot, which is built anew each time: what a release shares with the one that
# was there before it needs no compiling. Bytecode belongs to a source by its time and size (PEP 552), and uv
# links the same file into each slot.
start_slot() { # start_slot FOLDER: its supervisord, which must not inherit the lock
    command : >"$1/runs" || no_room "$1/runs" # after a reboot, too; without "command" the shell would end there
    ( # the settings are in the environment of its processes, and of nothing else
        set -- "$1" "$cache/bytecode" # before them: one of them may be called cache
        # shellcheck source=/dev/null
        [ ! -e "$1/environment" ] || . "$1/environment"
        PYTHONPYCACHEPREFIX="$2" \
            exec "$1/tools/bin/supervisord" -c "$1/supervisord.conf" 9>&- </dev/null >"$1/log/start.log" 2>&1
    ) || {
        cat "$1/log/start.log" >&2
        rm -rf "$cache/bytecode$tools" # what a full disk cut off there would fail again and again
        fail 73 "supervisord does not start"
    }
    start_live "$1" >&2
}

control() { # control FOLDER WORDS...: to the supervisord of a slot
    of=$1
    shift
    PYTHONPYCACHEPREFIX="$cache/bytecode" "$of/tools/bin/supervisorctl" -c "$of/supervisord.conf" "$@"
}

# What runs in the live slot only is not started by supervisord itself: where it does, the file says.
start_live() { # start_live FOLDER
    # shellcheck disable=SC2046
    [ ! -s "$1/live" ] || control "$1" start $(cat "$1/live") 9>&-
}

# Its supervisord, and with it all its processes.
stop_slot() { # stop_slot FOLDER
    rm -f "$1/runs"
    for made in "$1" "$1.new"; do # it may wait for a release that was killed before its folder had its name
        ! alive "$made/run/supervisord.pid" "$1/supervisord.conf" || run_python "$common_end_py
end(int(sys.argv[1]), sys.argv[2])" "$pid" "$1"
    done
}

# Have a link lead elsewhere at once: rename(2), so that it is never gone.
link() { # link TARGET LINK
    rm -f "$2.new"
    ln -s "$1" "$2.new"
    mv -fT "$2.new" "$2"
}

# nginx as the stage wants it: its own master below prefix, whose logs are its owner's, or the one of the system.
nginx_() { # nginx_ ARGUMENTS...
    if [ "$nginx_of" = own ]; then
        (umask 077 && exec nginx -p "$nginx/" -c "$nginx/nginx.conf" -e "$nginx/error.log" "$@")
    else
        as_root nginx "$@"
    fi
}

as_root() { # as_root COMMAND...
    if [ "$sudo" = yes ] && [ "$(id -u)" -ne 0 ]; then sudo -n "$@"; else "$@"; fi
}

nginx_pid() { if [ "$nginx_of" = own ]; then echo "$nginx/nginx.pid"; else echo /run/nginx.pid; fi; }

nginx_alive() {
    if [ "$nginx_of" = own ]; then words=$nginx/nginx.conf; else words='nginx: master process'; fi
    alive "$(nginx_pid)" "$words"
}

# Start nginx, or let a running one take the new configuration.
start_nginx() {
    if nginx_alive; then
        nginx_ -s reload 9>&-
    elif [ "$nginx_of" = system ] && [ -d /run/systemd/system ]; then
        as_root systemctl start nginx
    else
        nginx_ 9>&-
    fi
}

# Write the files of a JSON object (standard input: name -> text), readable by their owner only.
unpack_files() { # unpack_files FOLDER
    run_python "$common_unpack_py
unpack(sys.argv[1])" "$1"
}

cron_entry() { # as sh reads it
    case $boot in
        *[!A-Za-z0-9/._-]*) run_python 'import shlex, sys; print("@reboot", shlex.quote(sys.argv[1]))' "$boot" ;;
        *) echo "@reboot $boot" ;;
    esac
}

in_crontab() { # without a grep, which is a process
    case $(crontab -l 2>/dev/null) in *"$(cron_entry)"*) ;; *) return 1 ;; esac
}

starts_again() { # prints what starts the slots again after a restart of the machine
    [ -s "$boot" ] || return 0
    if [ -e "$boot_unit" ] || [ -e "${HOME:-}/.config/systemd/user/${boot_unit##*/}" ]; then
        echo systemd
    elif in_crontab; then
        echo cron
    fi
}

# What ran comes back when the machine was restarted: by systemd, else by cron.
boot_entry() { # boot_entry FOLDER: with boot.sh and boot.service in it, or without them
    [ -e "$1/boot.sh" ] || return 0
    cmp -s "$1/boot.sh" "$boot" || { # before it is in place: it starts what is live
        install -m 0755 "$1/boot.sh" "$boot.new" && on_disk "$boot.new" && mv -fT "$boot.new" "$boot"
    } || no_room "$boot"
    if [ -d /run/systemd/system ]; then
        if [ "$(id -u)" -eq 0 ] || [ "$sudo" = yes ]; then
            sed -i "s/^Type=/User=$(id -un)\nType=/" "$1/boot.service"
            cmp -s "$1/boot.service" "$boot_unit" || {
                as_root install -m 0644 "$1/boot.service" "$boot_unit" && as_root systemctl daemon-reload &&
                    as_root systemctl enable -q "${boot_unit##*/}"
            } || true
        else
            unit=$HOME/.config/systemd/user/${boot_unit##*/}
            mkdir -p "$(dirname "$unit")" && install -m 0644 "$1/boot.service" "$unit" && loginctl enable-linger &&
                systemctl --user enable -q "${unit##*/}" || true
        fi
    elif command -v crontab >/dev/null; then
        in_crontab || { crontab -l 2>/dev/null || true; cron_entry; } | crontab - || true
    fi
    rm -f "$1/boot.sh" "$1/boot.service"
}
