# nginx_open.sh: slot, limit, retire
# Waits until no request is open to a slot, and prints how many are after limit seconds. To retire a slot is to
# forget it then: it is going to be built anew, and nobody switches to it before it is whole again.
need_python
lock_host
if [ "$retire" = yes ] && [ "$(readlink "$live")" = "slots/$slot" ]; then
    fail 79 "visitors are served from slot $slot by this proxy"
fi
# Nobody is to be sent there any more while those are waited for that are there.
[ "$retire" = no ] || [ "$(readlink "$canary")" != "slots/$slot" ] || rm -f "$canary"
run_python "$nginx_open_py" "$conf/http.conf" "_$slot" "$limit"
[ "$retire" = no ] || rm -f "$served/$slot/$slot" "$served/$slot/release" "$served/$slot/release.json"
