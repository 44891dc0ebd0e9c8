# slot_run.sh: slot  < {"command": a shell line, "timeout": seconds, "name": of its log, or ""}
# Runs a command in a slot as its processes run: in its folder, with its environment, what is installed there first.
need_python
folder=$slots/$slot
[ -x "$folder/venv/bin/python" ] && [ -e "$folder/supervisord.conf" ] || fail 66 "slot $slot is empty"
# shellcheck source=/dev/null
[ ! -e "$folder/environment" ] || . "$folder/environment"
cd "$folder"
umask 077 # of what is written there, as of its logs
"$folder/tools/bin/python" -c "$slot_run_py" "$folder" || fail 82 "exit code $?"
