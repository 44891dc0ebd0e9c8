# nginx_control.sh PREFIX MODE SUDO ACTION
# test, start, reload or stop.
prefix=$1 mode=$2 sudo=$3 action=$4
case $action in
    test) nginx_ "$mode" "$sudo" "$prefix" -t ;;
    start | reload)
        nginx_ "$mode" "$sudo" "$prefix" -t || fail 76 "nginx does not accept its configuration"
        start_nginx "$mode" "$sudo" "$prefix"
        ;;
    stop)
        pid=$(nginx_pid "$mode" "$prefix")
        nginx_alive "$mode" "$prefix" || exit 0
        pid=$(cat "$pid")
        nginx_ "$mode" "$sudo" "$prefix" -s quit
        wait_gone "$pid"
        ;;
esac
