# facts.sh: wanted
# Looks at a host and changes nothing; prints facts as JSON.
need_python
run_python "$facts_py" "$wanted" "$(starts_again)"
