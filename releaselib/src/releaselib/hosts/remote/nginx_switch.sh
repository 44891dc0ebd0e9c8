# nginx_switch.sh: file, serves, url, host, limit
# Puts file (next/upstream.conf or upstream.previous) in place, reloads, and asks nginx itself until
# it serves that ("SLOT VERSION"): a reload is asynchronous, and exits 0 even when it is not taken.
need_python
lock_host
# What is in place already stays; so doing it again, or back where nothing was done, does no harm.
if [ "$(head -n 1 "$upstream")" != "# $serves" ] || [ "$file" != upstream.previous ]; then
    if [ "$file" != upstream.previous ] && ! cmp -s "$nginx/$file" "$upstream"; then
        cp -p "$upstream" "$nginx/upstream.keep"
        mv -fT "$nginx/upstream.keep" "$nginx/upstream.previous"
    fi
    cp -p "$nginx/$file" "$nginx/upstream.trial"
    mv -fT "$nginx/upstream.trial" "$upstream"
fi
nginx_ -t || fail 76 "nginx does not accept its configuration"
start_nginx
run_python "$nginx_ask_py" "$url" "$host" "$serves" "$limit" || {
    log=/var/log/nginx/error.log
    [ "$nginx_of" = system ] || log=$nginx/error.log
    as_root tail -n 5 "$log" >&2 || true
    fail 77 "nginx did not take the new configuration"
}
