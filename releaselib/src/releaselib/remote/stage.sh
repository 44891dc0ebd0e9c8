# stage.sh PREFIX SLOT PYTHON INDEX UV_URL UV_SHA256  < files of the slot, as JSON
# Installs a release into an idle slot, starts it and waits until every process is healthy.
# Safe to run again after any interruption: the slot is built anew each time.
prefix=$1 slot=$2 index=$4 uv_url=$5 uv_sha256=$6
python=$(find_python "$3") || fail 69 "no Python ${3:-3} on this host"
folder=$prefix/slots/$slot
lock_host "$prefix"

# Nothing in the environment of this host may name another index.
for name in $(env | sed -n 's/^\(UV_[A-Z_]*\)=.*/\1/p; s/^\(PIP_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
export PIP_CONFIG_FILE=/dev/null UV_NO_CONFIG=1 UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never
export UV_CACHE_DIR="$prefix/cache" no_proxy='*'

make_virtualenv() { # make_virtualenv FOLDER
    if [ -n "$uv" ]; then "$uv" venv -q --python "$python" "$1"; else "$python" -m venv "$1"; fi
}

install_wheels() { # install_wheels VIRTUALENV REQUIREMENTS
    if [ -n "$uv" ]; then
        "$uv" pip install -q --python "$1/bin/python" --default-index "$index" --no-deps \
            --only-binary :all: --require-hashes -r "$2"
    else
        "$1/bin/python" -m pip install -q --no-compile --isolated --index-url "$index" --no-deps \
            --trusted-host "$(host_of "$index")" --disable-pip-version-check \
            --only-binary :all: --require-hashes -r "$2"
    fi
}

host_of() { # host_of URL
    rest=${1#*://}
    rest=${rest%%/*}
    printf '%s\n' "${rest%%:*}"
}

# --- 70: a slot's folder, empty but for its files
stop_slot "$folder"
rm -rf "$folder"
mkdir -p "$folder/run" "$folder/log" "$prefix/tools" "$prefix/cache" || fail 70 "cannot write below $prefix"
chmod 0700 "$folder/run"
unpack_files "$python" "$folder" || fail 70 "cannot write below $folder"

# --- 71: the tools of the host, made once and kept: uv, and supervisor in a virtualenv of its own
uv=
if [ -n "$uv_url" ]; then
    uv=$prefix/tools/uv-$uv_sha256
    [ -x "$uv" ] || "$python" "$folder/fetch.py" "$uv_url" "$uv_sha256" "$uv" ||
        fail 71 "cannot fetch uv from the index"
fi
tools=$prefix/tools/$(sha256sum <"$folder/tools.txt" | cut -c 1-16)
if [ ! -e "$tools/ready" ]; then
    rm -rf "$tools"
    make_virtualenv "$tools" || fail 71 "cannot make the virtualenv of the tools"
    install_wheels "$tools" "$folder/tools.txt" || fail 71 "cannot install the tools"
    touch "$tools/ready"
fi
ln -sfn "$tools" "$folder/tools"

# --- 72: the release
make_virtualenv "$folder/venv" || fail 72 "cannot make the virtualenv of the slot"
install_wheels "$folder/venv" "$folder/requirements.txt" || fail 72 "cannot install the release"

# --- 73: its processes
start_slot "$prefix" "$folder"

# --- 74: health
if ! answers=$("$python" "$folder/health.py" "$(cat "$folder/health.json")"); then
    say "--- last lines of $folder/log/supervisord.log"
    tail -n 3 "$folder/log/supervisord.log" >&2
    for log in "$folder"/log/*.log; do # the app's own words last: of much only the end is shown
        case $log in */start.log | */supervisord.log) continue ;; esac
        say "--- last lines of $log"
        tail -n 12 "$log" >&2
    done
    fail 74 "$answers"
fi
touch "$folder/healthy"
