# nginx_control.sh: action
# test, start, reload or stop.
[ "$action" = test ] || lock_host
case $action in
    test) nginx_ -t ;;
    start | reload)
        nginx_ -t || fail 76 "nginx does not accept its configuration"
        start_nginx
        ;;
    stop)
        nginx_alive || exit 0
        pid=$(cat "$(nginx_pid)")
        nginx_ -s quit
        wait_gone "$pid" 45
        ;;
esac
