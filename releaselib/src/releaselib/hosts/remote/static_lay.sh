# static_lay.sh: slot, url, days  < {"files": {path: SHA-256}, "content": {SHA-256: base64}}
# Has this proxy hold the static files of a slot; prints as JSON the SHA-256 of those that it lacks, and then changes
# nothing that visitors get. What no slot has any more goes after some days.
need_python
lock_host
mkdir -p "$static" || no_room "$static"
run_python "$static_lay_py" "$static" "$slot" "$url" "$days" || no_room "$static"
