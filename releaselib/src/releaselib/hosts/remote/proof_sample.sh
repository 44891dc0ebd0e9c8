# proof_sample.sh: url, host, path, status, enough, before
# Sends requests through this proxy as a visitor would: see proof_sample.py.
need_python
exec "$python" -IS -c "$proof_sample_py" "$url" "$host" "$path" "$status" "$enough" "$before"
