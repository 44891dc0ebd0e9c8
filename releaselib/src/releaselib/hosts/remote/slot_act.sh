# slot_act.sh: action, chosen
# What can be done with slots that are there already: stop, start, remove, status, and words for supervisorctl.
need_python
[ "$action" = status ] || lock_host

control() { # control WORDS...
    "$folder/tools/bin/supervisorctl" -c "$folder/supervisord.conf" "$@"
}

for slot in $chosen; do
    folder=$slots/$slot
    if [ ! -e "$folder/supervisord.conf" ]; then
        case $action in
            remove) rm -rf "$folder" ;;
            shutdown | status) echo "slot $slot is empty" ;;
            *) fail 66 "slot $slot is empty: nothing to $action" ;;
        esac
        continue
    fi
    case $action in
        remove | shutdown | start) ;;
        *)
            alive "$folder/run/supervisord.pid" "$folder/supervisord.conf" || {
                [ "$action" = status ] || [ "$action" = stop ] || fail 67 "slot $slot is stopped: nothing to $action"
                echo "slot $slot is stopped"
                continue
            }
            ;;
    esac
    case $action in
        remove)
            stop_slot "$folder"
            rm -rf "$folder"
            ;;
        shutdown) stop_slot "$folder" ;;
        start)
            alive "$folder/run/supervisord.pid" "$folder/supervisord.conf" || start_slot "$folder"
            control start all 9>&-
            ;;
        status) control status || [ $? -eq 3 ] ;; # 3: some process is not running, which the text says
        reload) control reload ;;
        *) control "$action" all ;;
    esac
done
