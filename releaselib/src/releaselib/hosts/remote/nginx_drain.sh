# nginx_drain.sh: limit
# Waits until no old worker of nginx finishes requests any more; prints how many still do after that many seconds.
end=$(($(date +%s) + limit))

draining() {
    master=$(cat "$(nginx_pid)")
    count=0
    # The brackets keep this line from finding itself in the process list.
    # shellcheck disable=SC2013 # names in /proc have no spaces
    for line in $(grep -ls 'nginx: worker process is shutting[ ]down' /proc/[0-9]*/cmdline 2>/dev/null); do
        grep -qs "^PPid:[[:space:]]*$master\$" "${line%cmdline}status" && count=$((count + 1))
    done
    echo "$count"
}

while left=$(draining) && [ "$left" -gt 0 ] && [ "$(date +%s)" -lt "$end" ]; do sleep 0.1; done
echo "$left"
