# slot.sh PREFIX ACTION SLOT...
# What can be done with slots that are there already: stop, start, remove, status, and words for supervisorctl.
prefix=$1 action=$2
shift 2
lock_host "$prefix"

control() { # control FOLDER WORDS...
    folder=$1
    shift
    "$folder/tools/bin/supervisorctl" -c "$folder/supervisord.conf" "$@"
}

for slot in "$@"; do
    folder=$prefix/slots/$slot
    if [ ! -e "$folder/supervisord.conf" ]; then
        case $action in
            remove) rm -rf "$folder" ;;
            shutdown | status) say "slot $slot is empty" ;;
            *) fail 66 "slot $slot is empty: nothing to $action" ;;
        esac
        continue
    fi
    case $action in
        remove)
            stop_slot "$folder"
            rm -rf "$folder"
            ;;
        shutdown) stop_slot "$folder" ;;
        start)
            alive "$folder/run/supervisord.pid" "$folder/supervisord.conf" ||
                start_slot "$prefix" "$folder"
            control "$folder" start all 9>&-
            ;;
        status) control "$folder" status || [ $? -eq 3 ] ;; # 3: some process is not running, which the text says
        reload) control "$folder" reload ;;
        *) control "$folder" "$action" all ;;
    esac
done
