# lock.sh: patience, holder, last
# Holds the lock of the stage as long as it hears from its holder: see lock.py.
need_python
mkdir -p "$prefix" && [ -w "$prefix" ] || no_room "$prefix"
exec "$python" -IS -c "$lock_py" "$stage_lock" "$journal" "$fence_file" "$frozen" "$patience" "$holder" "$last"
