# nginx_maintenance.sh: action  < {"maintenance.html": page}
# on: everybody gets the page and 503 at once, without a reload; off: everybody is served again.
need_python
lock_host
[ -L "$conf" ] || fail 80 "nothing was set up on this proxy yet"
if [ "$action" = off ]; then
    rm -f "$pages/maintenance.html"
    exit 0
fi
new=$(mktemp -d "$nginx/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
unpack_files "$new"
chmod 0644 "$new/maintenance.html"
mv -f "$new/maintenance.html" "$pages/maintenance.html"
