# nginx_watch.sh: action
# start: have nginx write down, from now on, how each request goes; read: count them, as JSON; stop.
need_python
lock_host
case $action in
    start)
        [ ! -e "$watch_log" ] || : >"$watch_log"
        : >"$watching"
        ;;
    read) run_python "$nginx_watch_py" "$watch_log" ;;
    stop) rm -f "$watching" ;;
esac
