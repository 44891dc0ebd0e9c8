# slot_console.sh: slot, command
# Becomes a program in a slot, on the terminal that is there: in its folder, with the environment of its processes.
need_python
folder=$slots/$slot
[ -x "$folder/venv/bin/python" ] && [ -e "$folder/supervisord.conf" ] || fail 66 "slot $slot is empty"
set -- "$folder" "$slot_console_py" "$command" # before the settings: one of them may have any name
# shellcheck source=/dev/null
[ ! -e "$1/environment" ] || . "$1/environment"
cd "$1" || exit
umask 077
exec "$1/tools/bin/python" -c "$2" "$1" "$3"
