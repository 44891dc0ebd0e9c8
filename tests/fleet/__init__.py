"""The fleet rig, and the tests that need real hosts."""
