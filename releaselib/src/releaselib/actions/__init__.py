"""What is done with a stage: the session around it, the runner of plans, one module a group of acts."""
