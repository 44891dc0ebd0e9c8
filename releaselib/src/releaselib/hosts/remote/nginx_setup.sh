# nginx_setup.sh  < {"site.conf": ..., "nginx.conf": ..., "upstream.conf": ...}
# Installs the site (and the main configuration of an own nginx); keeps an upstream file that is there.
# The old files are back in place when nginx does not accept the new ones.
need_python
lock_host
command -v nginx >/dev/null || fail 68 "nginx is not installed on this host"
mkdir -p "$nginx" || fail 70 "cannot write below $prefix"
new=$(mktemp -d "$nginx/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
unpack_files "$new"
chmod 0644 "$new"/*

[ -e "$upstream" ] || mv "$new/upstream.conf" "$upstream"
[ "$nginx_of" = system ] || mv -f "$new/nginx.conf" "$nginx/nginx.conf"
[ ! -e "$site" ] || cp -p "$site" "$new/site.old"
as_root cp "$new/site.conf" "$site" || fail 70 "cannot write $site"
if ! nginx_ -t; then
    if [ -e "$new/site.old" ]; then as_root cp "$new/site.old" "$site"; else as_root rm -f "$site"; fi
    fail 76 "nginx does not accept the site; the old one is back in place"
fi
start_nginx
