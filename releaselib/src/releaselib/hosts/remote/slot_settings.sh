# slot_settings.sh: slot  < {"key": text}
# Prints, as JSON, a keyed hash of each setting of a slot; the values do not leave the host.
need_python
run_python "$slot_settings_py" "$slots/$slot/environment"
