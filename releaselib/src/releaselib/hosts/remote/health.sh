# health.sh  < what to ask, as JSON
# Asks processes for their health; changes nothing.
need_python
answers=$(run_python "$health_py") || fail 74 "$answers"
