# nginx_canary.sh: slot
# Lets a share of visitors get the canary hosts of a slot; without a slot nobody does any more.
need_python
lock_host
if [ -z "$slot" ]; then
    rm -f "$canary"
    exit 0
fi
[ -e "$served/$slot/$slot" ] || fail 80 "slot $slot was not made ready on this proxy"
link "slots/$slot" "$canary"
