# static_read.sh: slot, folder  < a path for each line
# Prints the static files of a slot as JSON, path -> [SHA-256, bytes], then for each path it is sent the file in base64.
need_python
run_python "$static_read_py" "$slots/$slot" "$folder" || fail 83 "no folder $folder in slot $slot, nor in what is installed there"
