# slot_follow.sh: slot, lines, pattern
# Prints "> LOG: LINE" for the last lines of each log of a slot and for all that come, until standard input ends, and a
# dot now and then.
folder=$slots/$slot/log
[ -d "$folder" ] || fail 66 "slot $slot is empty"
cd "$folder" || exit
for log in *.log; do
    [ -e "$log" ] || { echo "> there is no log yet" && exit 0; }
    tail -n "$lines" -F "$log" 2>/dev/null | grep --line-buffered -e "$pattern" | sed -u "s/^/> ${log%.log}: /" &
done
while sleep 20; do echo .; done &
cat >/dev/null
trap - TERM
kill 0
