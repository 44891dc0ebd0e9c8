# nginx_setup.sh PREFIX MODE SUDO SITE PYTHON  < {"site.conf": ..., "nginx.conf": ..., "upstream.conf": ...}
# Installs the site (and, in mode own, the main configuration); keeps an upstream file that is there.
# The old files are back in place when nginx does not accept the new ones.
prefix=$1 mode=$2 sudo=$3 site=$4
python=$(find_python "$5") || fail 69 "no Python ${5:-3} on this host"
lock_host "$prefix"
command -v nginx >/dev/null || fail 69 "nginx is not installed on this host"
dir=$prefix/nginx
mkdir -p "$dir" || fail 70 "cannot write below $prefix"
new=$(mktemp -d "$dir/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
unpack_files "$python" "$new"
chmod 0644 "$new"/*

[ -e "$dir/upstream.conf" ] || mv "$new/upstream.conf" "$dir/upstream.conf"
[ "$mode" = system ] || mv -f "$new/nginx.conf" "$dir/nginx.conf"
[ ! -e "$site" ] || cp -p "$site" "$new/site.old"
as_root "$sudo" cp "$new/site.conf" "$site" || fail 70 "cannot write $site"
if ! nginx_ "$mode" "$sudo" "$prefix" -t; then
    if [ -e "$new/site.old" ]; then as_root "$sudo" cp "$new/site.old" "$site"; else as_root "$sudo" rm -f "$site"; fi
    fail 76 "nginx does not accept the site; the old one is back in place"
fi
start_nginx "$mode" "$sudo" "$prefix"
