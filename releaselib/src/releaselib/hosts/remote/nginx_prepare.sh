# nginx_prepare.sh  < {"upstream": text, "health": what to ask}
# Lays the new upstream beside the old one. Refuses when this proxy does not see every process behind
# it healthy, or nginx does not accept it; the running configuration is not touched.
need_python
lock_host
next=$nginx/next
rm -rf "$next"
mkdir -p "$next"
unpack_files "$next"
mv "$next/upstream" "$next/upstream.conf"
chmod 0644 "$next/upstream.conf"

answers=$(run_python "$health_py" <"$next/health") || fail 78 "$answers"

# nginx -t reads only what is in place, so the new file is there for the moment of the test.
# A power cut may have left one there, with the right one kept beside it.
[ ! -e "$nginx/upstream.tested" ] || mv -fT "$nginx/upstream.tested" "$upstream"
cp -p "$upstream" "$nginx/upstream.keep"
mv -fT "$nginx/upstream.keep" "$nginx/upstream.tested"
trap 'mv -fT "$nginx/upstream.tested" "$upstream"' EXIT
trap 'exit 1' HUP INT TERM
cp "$next/upstream.conf" "$nginx/upstream.trial"
mv -fT "$nginx/upstream.trial" "$upstream"
nginx_ -t || fail 76 "nginx does not accept the new upstream; the old one is back in place"
