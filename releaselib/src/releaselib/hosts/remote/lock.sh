# lock.sh
# Holds the lock of the stage as long as standard input is open, and appends what it reads there to
# the journal, line by line, each acknowledged. Whoever holds the lock is the only one who writes.
mkdir -p "$prefix"
exec 8>>"$stage_lock"
if ! flock -w 1 8; then # whoever only looks (lock_journal.sh) holds it for a moment
    tail -n 50 "$journal" 2>/dev/null || true
    exit 75
fi
# A line cut off by a crash must not swallow the next one.
[ ! -s "$journal" ] || [ -z "$(tail -c 1 "$journal")" ] || echo >>"$journal"
echo locked
while IFS= read -r line; do
    printf '%s\n' "$line" >>"$journal"
    echo written
done
