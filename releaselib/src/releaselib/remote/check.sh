# check.sh PYTHON PREFIX  < {"facts.py": ..., "facts.json": ...}
# Looks at a host and changes nothing; prints facts as JSON.
python=$(find_python "$1") || fail 69 "no Python ${1:-3} on this host"
exec "$python" -c 'import json, sys; f = json.load(sys.stdin); sys.argv[1:] = [sys.argv[1], f["facts.json"]]; exec(f["facts.py"])' "$2"
