# lock_journal.sh: lines
# Prints the last lines of the journal, and as the last line who holds the lock of the stage now, if anybody.
tail -n "$lines" "$journal" 2>/dev/null || true
# A line cut off by a crash must not swallow the last one.
[ ! -s "$journal" ] || [ -z "$(tail -c 1 "$journal")" ] || echo
if [ -e "$stage_lock" ] && ! flock -n "$stage_lock" true; then
    echo "locked $(cat "$stage_lock" 2>/dev/null)"
else
    echo free
fi
