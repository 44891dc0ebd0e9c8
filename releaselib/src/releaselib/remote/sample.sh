# sample.sh PYTHON SAMPLE_PY URL HOST PATH ENOUGH
# Sends requests through this proxy as a visitor would, until standard input ends: see sample.py.
python=$(find_python "$1") || fail 69 "no Python ${1:-3} on this host"
shift
exec "$python" -c "$@"
