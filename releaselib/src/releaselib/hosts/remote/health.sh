# health.sh  < what to ask, as JSON
# Asks processes for their health, and prints those that are not healthy, as JSON; changes nothing.
need_python
run_python "$health_py" || true
