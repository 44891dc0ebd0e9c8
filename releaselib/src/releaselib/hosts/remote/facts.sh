# facts.sh  < what to look at, as JSON
# Looks at a host and changes nothing; prints facts as JSON.
need_python
run_python "$facts_py"
