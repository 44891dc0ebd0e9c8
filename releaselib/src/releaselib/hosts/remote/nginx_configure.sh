# nginx_configure.sh: digest, adopt, probe, names  < {"health": what to ask, "conf": files, "slots": ..., pages}
# Has nginx load a configuration (without a digest the one that lies there), unless it has, and then lays down what is
# known of each slot. Visitors get what they got before: nothing is switched. Refuses when this proxy does not see every
# process healthy that it is to ask, or nginx does not accept the configuration; then the old one is back in place.
need_python
lock_host
command -v nginx >/dev/null || fail 68 "nginx is not installed on this host"
mkdir -p "$confs" "$served" "$pages" "$nginx/acme" || no_room "$confs"
new=$(mktemp -d "$nginx/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM

# A trial that a power cut ended is undone first.
[ ! -L "$conf.tested" ] || mv -fT "$conf.tested" "$conf"
here=$(readlink "$conf") || true # what lies there already
told=$digest
digest=${digest:-${here##*/}}
[ -n "$digest" ] || fail 80 "nothing was set up here yet"
[ ! -L "$live" ] || adopt=
entered() { [ "$nginx_of" = own ] || grep -qsF "\"$conf/site.conf\"" "$entry"; }
in_place=no
if entered && [ "$here" = "confs/$digest" ]; then in_place=yes; fi
set -- "$probe/-/config" "$digest" "$probe/-/ready" ready # what it answers that runs with it, and whose workers can read
had=$(run_python "$nginx_configure_py" "$new" "$confs/$digest" "$served" "$adopt" $in_place "$@") || {
    code=$?
    [ $code -ne 70 ] || no_room "$nginx"
    exit $code
}
[ -z "$adopt" ] || link "slots/$adopt" "$live"
if [ -n "$told" ]; then
    install -m 0644 "$new/nothing.html" "$pages/nothing.html"
    echo ready >"$nginx/ready"
    if [ "$nginx_of" = own ]; then
        # On a developer's machine the project may lie where its owner alone can read.
        if [ "$local_stage" = yes ] && [ "$(id -u)" -eq 0 ]; then echo 'user root;' >>"$new/nginx.conf"; fi
        install -m 0644 "$new/nginx.conf" "$nginx/nginx.conf"
        boot_entry "$new"
    fi
fi

workers() { pid=$(cat "$(nginx_pid)" 2>/dev/null) && cat "/proc/$pid/task/$pid/children" 2>/dev/null || true; }
# Beside the new workers the old ones take requests for another 100 ms, or longer on a busy host; nginx tells when
# one has stopped by the title of its process.
left() { # left SECONDS PID...
    n=$((20 * $1))
    shift
    for pid; do
        while runs_as "$pid" 'worker process' && ! runs_as "$pid" 'shutting down'; do
            [ "$n" -gt 0 ] || { echo "$pid" && return 1; }
            n=$((n - 1))
            sleep 0.05
        done
    done
}

if [ "$had" != loaded ]; then
    # nginx -t reads only what is in place: so the new one is, and the old one is kept until it has been taken.
    [ ! -L "$conf" ] || link "$(readlink "$conf")" "$conf.tested"
    [ ! -e "$entry" ] || cp -p "$entry" "$new/entry"
    undo() {
        if [ -L "$conf.tested" ]; then mv -fT "$conf.tested" "$conf"; else rm -f "$conf"; fi
        if [ "$nginx_of" = system ]; then
            if [ -e "$new/entry" ]; then as_root cp "$new/entry" "$entry"; else as_root rm -f "$entry"; fi
        fi
        [ "$taken" = no ] || start_nginx || true # as it was
        rm -rf "$new"
    }
    taken=no
    trap undo EXIT
    link "confs/$digest" "$conf"
    if ! entered; then
        printf 'include "%s/site.conf";\n' "$conf" >"$new/site"
        as_root install -m 0644 "$new/site" "$entry" || no_room "$entry"
    fi
    words=$(nginx_ -t 2>&1) || fail 76 "$words"
    for name in $names; do
        case $words in
            *"conflicting server name \"$name\""*)
                fail 76 "another site of this nginx has the server name $name on the same port already"
                ;;
        esac
    done
    old=$(workers)
    start_nginx
    run_python "$nginx_ask_py" 10 "$@" || {
        log=/var/log/nginx/error.log
        [ "$nginx_of" = system ] || log=$nginx/error.log
        if run_python "$nginx_ask_py" 0 "$1" "$2" 2>/dev/null; then taken=yes; fi
        as_root tail -n 5 "$log" >&2 || true
        fail 77 "nginx did not take the new configuration; can its workers read $nginx?"
    }
    taken=yes
    # shellcheck disable=SC2086
    late=$(left 10 $old) ||
        fail 77 "worker $late of nginx goes on with the configuration from before; look why, and end it: kill $late"
    trap 'rm -rf "$new"' EXIT
    rm -f "$conf.tested"
    find "$confs" -mindepth 1 -maxdepth 1 ! -name "$digest" -exec rm -rf {} +
    rm -f "$old_upstream"
    # Only now: a slot that nginx does not know yet would be nothing to switch to.
    run_python "$nginx_lay_py" "$served" <"$new/slots" || no_room "$served"
fi
