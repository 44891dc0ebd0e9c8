# slot_run.sh: slot  < {"command": a shell line, "timeout": seconds, "name": of its log, "secrets": names}
# Runs a command in a slot as its processes run: in its folder, with its environment, what is installed there first.
need_python
[ "$fence" -eq 0 ] || { # of a release: not for one that has lost the lock; but others need not wait for its end
    lock_host
    exec 9>&-
}
folder=$slots/$slot
[ -x "$folder/venv/bin/python" ] && [ -e "$folder/supervisord.conf" ] || fail 66 "slot $slot is empty"
set -- "$folder" "$slot_run_py" # before the settings: one of them may have any name
# shellcheck source=/dev/null
[ ! -e "$1/environment" ] || . "$1/environment"
cd "$1" || exit
umask 077 # of what is written there, as of its logs
"$1/tools/bin/python" -c "$2" "$1" || fail 82 "exit code $?"
