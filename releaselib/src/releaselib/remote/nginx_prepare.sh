# nginx_prepare.sh PREFIX MODE SUDO PYTHON  < {"upstream.conf": ..., "health.py": ..., "health.json": ...}
# Lays the new upstream beside the old one. Refuses when this proxy does not see every process behind
# it healthy, or nginx does not accept it; the running configuration is not touched.
prefix=$1 mode=$2 sudo=$3
python=$(find_python "$4") || fail 69 "no Python ${4:-3} on this host"
lock_host "$prefix"
dir=$prefix/nginx
rm -rf "$dir/next"
mkdir -p "$dir/next"
unpack_files "$python" "$dir/next"
chmod 0644 "$dir/next/upstream.conf"

answers=$("$python" "$dir/next/health.py" "$(cat "$dir/next/health.json")") || fail 74 "$answers"

# nginx -t reads only what is in place, so the new file is there for the moment of the test.
# A power cut may have left one there, with the right one kept beside it.
[ ! -e "$dir/upstream.tested" ] || mv -fT "$dir/upstream.tested" "$dir/upstream.conf"
cp -p "$dir/upstream.conf" "$dir/upstream.keep"
mv -fT "$dir/upstream.keep" "$dir/upstream.tested"
trap 'mv -fT "$dir/upstream.tested" "$dir/upstream.conf"' EXIT
trap 'exit 1' HUP INT TERM
cp "$dir/next/upstream.conf" "$dir/upstream.trial"
mv -fT "$dir/upstream.trial" "$dir/upstream.conf"
nginx_ "$mode" "$sudo" "$prefix" -t || fail 76 "nginx does not accept the new upstream; the old one is back in place"
