# nginx_switch.sh: slot, serves, probe
# Lets visitors get a slot (none, for an empty one) by the renaming of one link, and asks nginx for it.
need_python
lock_host
if [ -z "$slot" ]; then
    rm -f "$live"
    exit 0
fi
[ -e "$served/$slot/$slot" ] || fail 80 "slot $slot was not made ready on this proxy"
link "slots/$slot" "$live"
rm -f "$canary" # all visitors get one slot now
run_python "$nginx_ask_py" 5 "$probe/-/release" "$serves" || fail 77 "nginx does not serve slot $slot"
