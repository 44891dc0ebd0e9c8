"""Hosts at work: connections, and what is done on a host; knows one host at a time and no order of things.

Every script that runs on a host lies in ``remote/`` and is named after the module that sends it.
"""
