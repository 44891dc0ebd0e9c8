# lock_journal.sh: lines
# Prints the last lines of the journal, and as the last line whether the stage is locked now.
tail -n "$lines" "$journal" 2>/dev/null || true
# A line cut off by a crash must not swallow the last one.
[ ! -s "$journal" ] || [ -z "$(tail -c 1 "$journal")" ] || echo
if [ -e "$stage_lock" ] && ! flock -n "$stage_lock" true; then echo locked; else echo free; fi
