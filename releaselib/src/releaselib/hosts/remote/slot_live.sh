# slot_live.sh: action, slot, names
# The programs that run in the live slot and in no other. yield: they end in every other slot, and it prints which were
# at work on this host. start: these processes, and no other of them, run in the slot, after a restart, too.
need_python
lock_host
if [ "$action" = yield ]; then
    for folder in "$slots"/?; do
        [ -s "$folder/live" ] || continue
        had=$(cat "$folder/live")
        echo "$had"
        [ "$folder" != "$slots/$slot" ] || continue
        if alive "$folder/run/supervisord.pid" "$folder/supervisord.conf"; then
            stopping=
            for name in $had; do # side by side: each may take as long as it may
                control "$folder" stop "$name" >&2 9>&- &
                stopping="$stopping $!"
            done
            for one in $stopping; do wait "$one"; done
        fi
        rm -f "$folder/live"
    done
    exit 0
fi
folder=$slots/$slot
[ -e "$folder/supervisord.conf" ] || fail 66 "slot $slot is empty"
had=$(cat "$folder/live" 2>/dev/null) || had=
for name in $had; do
    case " $names " in *" $name "*) ;; *) control "$folder" stop "$name" >&2 ;; esac
done
if [ -z "$names" ]; then
    rm -f "$folder/live"
    exit 0
fi
printf '%s\n' "$names" >"$folder/live.new" || no_room "$folder/live"
mv -f "$folder/live.new" "$folder/live" # before they start: what was cut off here goes on after a restart
said=$(start_live "$folder") || {
    for name in $names; do last_lines 12 "$folder/log/$name.log"; done
    fail 74 "$said"
}
