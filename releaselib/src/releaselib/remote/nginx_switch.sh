# nginx_switch.sh PREFIX MODE SUDO FILE EXPECTED URL HOST PYTHON [SECONDS]
# Puts FILE (next/upstream.conf or upstream.previous) in place, reloads, and asks nginx itself until
# it serves EXPECTED ("SLOT VERSION"): a reload is asynchronous, and exits 0 even when it is not taken.
prefix=$1 mode=$2 sudo=$3 file=$4 expected=$5 url=$6 host=$7
python=$(find_python "$8") || fail 69 "no Python ${8:-3} on this host"
lock_host "$prefix"
dir=$prefix/nginx
# What is in place already stays; so doing it again, or back where nothing was done, does no harm.
if [ "$(head -n 1 "$dir/upstream.conf")" != "# $expected" ] || [ "$file" != upstream.previous ]; then
    if [ "$file" != upstream.previous ] && ! cmp -s "$dir/$file" "$dir/upstream.conf"; then
        cp -p "$dir/upstream.conf" "$dir/upstream.keep"
        mv -fT "$dir/upstream.keep" "$dir/upstream.previous"
    fi
    cp -p "$dir/$file" "$dir/upstream.trial"
    mv -fT "$dir/upstream.trial" "$dir/upstream.conf"
fi
nginx_ "$mode" "$sudo" "$prefix" -t || fail 76 "nginx does not accept its configuration"
start_nginx "$mode" "$sudo" "$prefix"
"$python" -c '
import sys, time, urllib.request
url, host, expected, seconds = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
end, seen, last = time.monotonic() + float(seconds), 0, ""
while seen < 3:
    try:
        request = urllib.request.Request(url + "/-/release", headers={"Host": host})
        last = opener.open(request, timeout=2).read().decode().strip()
    except Exception as error:
        last = str(error)
    seen = seen + 1 if last == expected else 0
    if time.monotonic() > end:
        sys.exit("nginx still answers: %s (expected: %s)" % (last, expected))
    time.sleep(0.02)
' "$url" "$host" "$expected" "${9:-10}" || {
    log=/var/log/nginx/error.log
    [ "$mode" = system ] || log=$dir/error.log
    as_root "$sudo" tail -n 5 "$log" >&2 || true
    fail 77 "nginx did not take the new configuration"
}
