"""Exit with 0 if the service in this container is ready. Uses the service's settings and only the standard library.

The certificate is not verified: it is issued for the public name of the service, not for 127.0.0.1. If clients must
present a certificate, `NIGHTLIFT_CLIENT_CERTIFICATE` is a PEM file with one and its key.
"""

import os
import ssl
import urllib.request

SECONDS = 2

port = os.environ.get("NIGHTLIFT_PORT", "8000")
context = None
if os.environ.get("NIGHTLIFT_TLS_CERTIFICATE"):
    context = ssl._create_unverified_context()
    if certificate := os.environ.get("NIGHTLIFT_CLIENT_CERTIFICATE"):
        context.load_cert_chain(certificate)
scheme = "https" if context else "http"
urllib.request.urlopen(f"{scheme}://127.0.0.1:{port}/readyz", timeout=SECONDS, context=context)
