# nginx_watch.sh: action
# start: have nginx write down, from now on, how each request goes; read: count them, as JSON; stop.
need_python
lock_host
case $action in
    start)
        # An nginx that is root's has made the log, or logrotate has: what is in it already is passed over.
        if [ -w "$watch_log" ]; then : >"$watch_log"; fi
        stat -c %s "$watch_log" 2>/dev/null >"$watching" || true
        ;;
    read) run_python "$nginx_watch_py" "$watch_log" "$watching" ;;
    stop) rm -f "$watching" ;;
esac
[ "$action" = read ] || echo '{}'
