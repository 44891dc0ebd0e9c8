# journal.sh PREFIX LINES
# Prints the last lines of the journal, and as the last line whether the stage is locked now.
prefix=$1
tail -n "$2" "$prefix/journal.jsonl" 2>/dev/null || true
# A line cut off by a crash must not swallow the last one.
[ ! -s "$prefix/journal.jsonl" ] || [ -z "$(tail -c 1 "$prefix/journal.jsonl")" ] || echo
if [ -e "$prefix/stage.lock" ] && ! flock -n "$prefix/stage.lock" true; then echo locked; else echo free; fi
