# slot_stage.sh: slot, digest, start, index, egress, uv_url, uv_sha256  < files of the slot, as JSON
# Installs a release into an idle slot, starts it and waits until every process is healthy. A slot that holds
# exactly this (digest), healthy, is left as it is; any other is built anew. Prints which of the two it was.
need_python
folder=$slots/$slot
lock_host

# Not the environment of the whole script: supervisord and the app start with what the login has (and a longer PATH).
others=$(env | sed -n 's/^\(UV_[A-Z_]*\)=.*/\1/p; s/^\(PIP_[A-Z_]*\)=.*/\1/p') # they may name another index
from_index() ( # from_index COMMAND WORDS...
    for name in $others; do unset "$name"; done
    export PIP_CONFIG_FILE=/dev/null UV_NO_CONFIG=1 UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never
    export UV_CACHE_DIR="$cache" NETRC="$folder/netrc"
    # It is asked through the proxy that the stage names, or else directly, whatever the host has set.
    # Each by its name: for an address in numbers uv asks the proxy in spite of no_proxy='*'.
    unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
    if [ -n "$egress" ]; then export http_proxy="$egress" https_proxy="$egress"; else export no_proxy='*'; fi
    "$@"
)

make_virtualenv() { # make_virtualenv FOLDER
    if [ -n "$uv" ]; then "$uv" venv -q --python "$python" "$1"; else "$python" -m venv "$1"; fi
}

install_wheels() { # install_wheels VIRTUALENV REQUIREMENTS
    if [ -n "$uv" ]; then
        "$uv" pip install -q --python "$1/bin/python" --default-index "$index" --no-deps \
            --only-binary :all: --require-hashes -r "$2"
    else
        # pip reads an index without TLS only from a host that is named so; one with TLS is always verified.
        plain=
        case $index in http://*) plain=$(host_of "$index") ;; esac
        "$1/bin/python" -m pip install -q --no-compile --isolated --index-url "$index" --no-deps \
            ${plain:+--trusted-host "$plain"} --disable-pip-version-check \
            --only-binary :all: --require-hashes -r "$2"
    fi
}

host_of() { # host_of URL
    rest=${1#*://}
    rest=${rest%%/*}
    case $rest in
        \[*) printf '%s\n' "${rest%%]*}]" ;; # IPv6
        *) printf '%s\n' "${rest%%:*}" ;;
    esac
}

has_size() { # has_size FILE: whether it is as long as when it was made
    [ -s "$1" ] && line_of "$1.size" && [ "$line" -eq "$(wc -c <"$1")" ] 2>/dev/null # an older library wrote no size
}

listed() ( # listed FOLDER: its files by size, without those behind links that lead nowhere any more
    export LC_ALL=C # wc says total in other languages, too, and who releases next may have another one
    find -L "$1" -type f ! -name ready ! -path '*/__pycache__/*' -exec wc -c {} + 2>/dev/null |
        grep -v ' total$' | sort | sha256sum
)

whole() { # whole FOLDER: whether the tools in it are as they were made; to start each would cost three Pythons
    line_of "$1/ready" && [ "$line" = "$(listed "$1")" ]
}

healthy_already() {
    alive "$folder/run/supervisord.pid" "$folder/supervisord.conf" &&
        run_python "$health_py" 0 <"$folder/health.json" >/dev/null
}

# What waits for this slot, without processes, ends with this script; or with the next one, when this one was killed.
waits= # its pid
end_waiting() {
    [ -n "$waits" ] || [ -s "$folder.new/run/supervisord.pid" ] || return 0
    pid=${waits:-$(cat "$folder.new/run/supervisord.pid")}
    waits=
    rm -f "$folder/runs" # it may have been told to go on
    ! runs_as "$pid" "$folder/supervisord.conf" || (end_supervisord "$pid" "$folder") || true
}

# --- 70: a slot's folder, empty but for its files; unless it is there already
[ -e "$folder/runs" ] || end_waiting
[ ! -e "$folder.new" ] || rm -rf "$folder.new"
mkdir -p "$folder.new/run" "$folder.new/log" "$tools" "$cache" || no_room "$folder.new"
chmod 0700 "$folder.new" "$folder.new/run" # what the app writes there, its logs too, is for its user alone
# With what the index is read: uv, pip and slot_fetch.py find it there.
trap 'rm -f "$folder/netrc" "$folder.new/netrc"; end_waiting' EXIT
trap 'exit 1' HUP INT TERM
holds=no
if line_of "$folder/healthy" && [ "$line" = "$digest" ] && { [ "$start" = no ] || healthy_already; }; then holds=yes; fi
if [ $holds = no ] && [ "$start" = yes ] && alive "$folder/run/supervisord.pid" "$folder/supervisord.conf"; then
    # One Python does both, as each costs its start: what runs here ends once the files are written.
    kind=$(run_python "$common_unpack_py
$slot_pause_py" "$folder.new" "$folder")
else
    kind=$(unpack_files "$folder.new")
fi || no_room "$folder.new"
if [ $holds = yes ]; then
    mv -f "$folder.new/release.json" "$folder/release.json"
    rm -rf "$folder.new"
    echo kept
    exit 0
fi
if [ -e "$folder.new/run/supervisor.sock" ]; then
    line_of "$folder.new/run/supervisord.pid" || fail 73 "nothing says which supervisord waits for slot $slot"
    waits=$line
else
    stop_slot "$folder"
fi
rm -rf "$folder"
mv -T "$folder.new" "$folder"

# --- 71: the tools of the host, made once and kept: uv, and supervisor in a virtualenv of its own, which
# belongs to the interpreter it was made with and is made again when that is another one, or gone
uv=
if [ -n "$uv_url" ]; then
    uv=$tools/uv-$uv_sha256
    has_size "$uv" || from_index run_python "$slot_fetch_py" "$uv_url" "$uv_sha256" "$uv" || {
        [ $? -ne 70 ] || no_room "$uv"
        fail 71 "cannot fetch uv from the index"
    }
fi
own_tools=$tools/$(printf %.16s "$({ printf '%s\n' "$kind" && cat "$folder/tools.txt"; } | sha256sum)")
if [ -n "$waits" ] && ! alive "$folder/run/supervisord.pid" "$own_tools/"; then end_waiting; fi
if ! whole "$own_tools"; then
    end_waiting
    [ ! -e "$own_tools" ] || rm -rf "$cache" # uv links the same files into each virtualenv: they are broken there, too
    rm -rf "$own_tools"
    from_index make_virtualenv "$own_tools" || fail 71 "cannot make the virtualenv of the tools"
    from_index install_wheels "$own_tools" "$folder/tools.txt" || fail 71 "cannot install the tools"
    run_python "$slot_bytecode_py" "$cache/bytecode" || true # it saves time, and nothing else
    sync -f "$own_tools" # a power cut leaves them whole, or not ready
    listed "$own_tools" >"$own_tools/ready" || no_room "$own_tools/ready"
fi
ln -sfn "$own_tools" "$folder/tools"

# --- 72: the release
from_index make_virtualenv "$folder/venv" || fail 72 "cannot make the virtualenv of the slot"
from_index install_wheels "$folder/venv" "$folder/requirements.txt" || fail 72 "cannot install the release"

# --- 73: its processes, and their health
until_healthy() { # until_healthy PROGRAM ARGUMENTS...: $answers is what those say that are not in time
    answers=$(run_python "$@" <"$folder/health.json")
}
code=3
if [ "$start" = no ]; then
    code=0
elif [ -n "$waits" ]; then
    code=0
    until_healthy "$slot_resume_py
$health_py" "$folder" || code=$?
fi
if [ $code -eq 3 ]; then # none waits for this slot, or it ended over it
    end_waiting
    start_slot "$folder"
    code=0
    until_healthy "$health_py" || code=$?
fi
waits=

# --- 74: health
if [ $code -ne 0 ]; then
    say "--- last lines of $folder/log/supervisord.log"
    tail -n 3 "$folder/log/supervisord.log" >&2
    for log in "$folder"/log/*.log; do # the app's own words last: of much only the end is shown
        case $log in */start.log | */supervisord.log) continue ;; esac
        say "--- last lines of $log"
        tail -n 12 "$log" >&2
    done
    rm -rf "$cache/bytecode$folder" # what a full disk cut off there would fail again and again
    fail 74 "$answers"
fi
boot_entry "$folder"
echo "$digest" >"$folder/healthy.new" || no_room "$folder/healthy.new"
mv -f "$folder/healthy.new" "$folder/healthy" # whole, or not there at all
echo built
