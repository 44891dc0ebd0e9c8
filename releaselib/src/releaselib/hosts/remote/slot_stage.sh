# slot_stage.sh: slot, digest, start, index, egress, uv_url, uv_sha256  < files of the slot, as JSON
# Installs a release into an idle slot, starts it and waits until every process is healthy. A slot that holds
# exactly this (digest), healthy, is left as it is; any other is built anew. Prints which of the two it was.
need_python
folder=$slots/$slot
lock_host

# The password of the index, and what waits for this slot, without processes, end with this script; or with the
# next one, when this one was killed.
end_waiting() {
    for secret in "$folder/netrc" "$folder.new/netrc"; do [ ! -e "$secret" ] || rm -f "$secret"; done
    [ -e "$folder/runs" ] || (stop_slot "$folder") || true
}
end_waiting
[ ! -e "$folder.new" ] || rm -rf "$folder.new"
trap end_waiting EXIT
trap 'exit 1' HUP INT TERM PIPE # the last: nobody hears what it says any more

code=0
said=$(run_python "$slot_stage_py" "$folder" "$tools" "$cache" "$digest" "$start" "$index" "$egress" \
    "$uv_url" "$uv_sha256") || code=$?
if [ $code -eq 3 ]; then # no supervisord waits for it, or it ended over it
    end_waiting
    start_slot "$folder"
    code=0
    said=$(run_python "$health_py" <"$folder/health.json") || code=$?
fi
if [ "$said" = kept ]; then
    echo kept
    exit 0
fi
if [ $code -ne 70 ]; then
    on_disk "$folder" "$cache" "$tools"
    rm -f "$cache/unsynced"
fi
case $code in
    0) ;;
    70) no_room "$folder" ;;
    74)
        last_lines 3 "$folder/log/supervisord.log"
        for log in "$folder"/log/*.log; do # the app's own words last: of much only the end is shown
            case $log in */start.log | */supervisord.log) ;; *) last_lines 12 "$log" ;; esac
        done
        rm -rf "$cache/bytecode$folder" # what a full disk cut off there would fail again and again
        fail 74 "$said"
        ;;
    *) exit "$code" ;;
esac
boot_entry "$folder"
echo "$digest" >"$folder/healthy.new" || no_room "$folder/healthy.new"
mv -f "$folder/healthy.new" "$folder/healthy" # whole, or not there at all
on_disk "$folder"
echo built
