# lock.sh PREFIX
# Holds the lock of the stage as long as standard input is open, and appends what it reads there to
# the journal, line by line, each acknowledged. Whoever holds the lock is the only one who writes.
prefix=$1
mkdir -p "$prefix"
exec 8>>"$prefix/stage.lock"
if ! flock -w 1 8; then # whoever only looks (journal.sh) holds it for a moment
    grep '"event": "began"' "$prefix/journal.jsonl" 2>/dev/null | tail -n 1 >&2 || true
    exit 75
fi
# A line cut off by a crash must not swallow the next one.
[ ! -s "$prefix/journal.jsonl" ] || [ -z "$(tail -c 1 "$prefix/journal.jsonl")" ] || echo >>"$prefix/journal.jsonl"
echo locked
while IFS= read -r line; do
    printf '%s\n' "$line" >>"$prefix/journal.jsonl"
    echo written
done
