"""common_certificate.py: looks at the certificate of a site. What it takes is imported only where there is one."""

import os
import time


def certificate(files, sudo):
    """For how many days it is good, its names, and why nginx could not take it; nothing without files.

    files: [certificate, key] or []; sudo: whether root is needed to read them.
    """
    if not files:
        return {}
    import ssl
    import subprocess
    import tempfile

    path, key = files
    try:
        with tempfile.NamedTemporaryFile() as copy:  # certbot's folders are root's
            argv = ["sudo", "-n"] * (sudo and os.getuid() != 0) + ["cat", path]
            subprocess.run(argv, stdout=copy, stderr=subprocess.PIPE, check=True)
            found = ssl._ssl._test_decode_cert(copy.name)
    except Exception as error:
        words = getattr(error, "stderr", b"").decode("utf-8", "replace").strip()
        return {"wrong": "no certificate in %s: %s" % (path, words or error)}
    names = [name for kind, name in found.get("subjectAltName", ()) if kind == "DNS"]
    told = {"days": int((ssl.cert_time_to_seconds(found["notAfter"]) - time.time()) // 86400), "names": names}
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, key)
    except ssl.SSLError as error:
        told["wrong"] = "the key %s does not fit the certificate: %s" % (key, error)
    except OSError as error:
        # With sudo it is root who reads it.
        told["wrong"] = "" if sudo else "%s: %s" % (key, error.strerror)
    return told
