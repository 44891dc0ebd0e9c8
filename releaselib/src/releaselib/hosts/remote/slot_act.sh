# slot_act.sh: action, chosen
# What can be done with slots that are there already: stop, start, remove, status, and words for supervisorctl.
need_python
[ "$action" = status ] || lock_host

at_work() { # what is to run in the slot: what starts with it, and what the live slot has besides
    control "$folder" avail 9>&- | sed -n 's/ .* auto .*//p'
    cat "$folder/live" 2>/dev/null || true
}

for slot in $chosen; do
    folder=$slots/$slot
    case $action in
        status) ;;
        remove)
            stop_slot "$folder"
            rm -f "$folder/healthy" # first: what a power cut leaves of the rest is no release
            rm -rf "$folder" "$folder.new"
            continue
            ;;
        # One that was left waiting by a release that was killed has the configuration from before it.
        *) [ -e "$folder/runs" ] || stop_slot "$folder" ;;
    esac
    if [ ! -e "$folder/supervisord.conf" ]; then
        case $action in
            shutdown | status) echo "slot $slot is empty" ;;
            *) fail 66 "slot $slot is empty: nothing to $action" ;;
        esac
        continue
    fi
    case $action in
        shutdown | start) ;;
        *)
            alive "$folder/run/supervisord.pid" "$folder/supervisord.conf" || {
                [ "$action" = status ] || [ "$action" = stop ] || fail 67 "slot $slot is stopped: nothing to $action"
                echo "slot $slot is stopped"
                continue
            }
            ;;
    esac
    case $action in
        shutdown) stop_slot "$folder" ;;
        start)
            alive "$folder/run/supervisord.pid" "$folder/supervisord.conf" || start_slot "$folder"
            # shellcheck disable=SC2046
            control "$folder" start $(at_work) 9>&-
            ;;
        status) control "$folder" status || [ $? -eq 3 ] ;; # 3: some process is not running, which the text says
        reload)
            stop_slot "$folder"
            start_slot "$folder"
            ;;
        restart)
            # shellcheck disable=SC2046
            control "$folder" restart $(at_work)
            ;;
        stop) control "$folder" stop all ;;
    esac
done
