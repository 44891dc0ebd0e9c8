# health.sh: slot, limit
# Asks the processes of a slot for their health, for so many seconds, as they were asked when it was staged: that is
# what it has. Prints those that are not healthy, as JSON.
need_python
[ -e "$slots/$slot/health.json" ] || fail 66 "slot $slot is empty"
run_python "$health_py" "$limit" <"$slots/$slot/health.json" || true
[ "$limit" = 0 ] || on_disk "$slots/$slot" # what was just started is to start again after a power cut
