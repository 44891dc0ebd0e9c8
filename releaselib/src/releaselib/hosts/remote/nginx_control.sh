# nginx_control.sh: action
# test, start, reload or stop.
# Wait until a pid is gone: for so many seconds politely, then by force.
wait_gone() { # wait_gone PID SECONDS
    n=0
    while kill -0 "$1" 2>/dev/null; do
        n=$((n + 1))
        if [ "$n" -eq $((10 * $2)) ]; then kill -KILL "$1" 2>/dev/null || true; fi
        [ "$n" -lt $((10 * $2 + 50)) ] || fail 1 "process $1 does not end"
        sleep 0.1
    done
}

[ "$action" = test ] || lock_host
case $action in
    test) nginx_ -t ;;
    start | reload)
        nginx_ -t || fail 76 "nginx does not accept its configuration"
        start_nginx
        ;;
    stop)
        nginx_alive || exit 0
        nginx_ -s quit
        wait_gone "$pid" 45
        ;;
esac
