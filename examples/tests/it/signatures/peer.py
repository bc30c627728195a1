"""The PyPI library http-message-signatures, as a client (`sign`) and as a server (`verify`).

`sign` reads a plan from standard input, sends each of its requests and prints what came of it, one
line of JSON each. `verify` reads keys and an algorithm, prints its port, and answers each request with what
its signature covers, until it is killed; its answers are signed.
"""

import base64
import datetime
import hashlib
import http.server
import json
import secrets
import sys

import requests
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    algorithms,
)

ALGORITHMS = {"hmac-sha256": algorithms.HMAC_SHA256, "ed25519": algorithms.ED25519}
COMPONENTS = ("@method", "@authority", "@path", "@query")
# `;req`: of the request that is answered (RFC 9421 section 2.4).
OF_THE_REQUEST = tuple(f'"{name}";req' for name in COMPONENTS)
ANSWERS = "payments-answers"
MAX_AGE = datetime.timedelta(seconds=60)


class Keys(HTTPSignatureKeyResolver):
    """Ed25519 keys are PEM, shared secrets bytes."""

    def __init__(self, keys):
        self.keys = keys

    def resolve_private_key(self, key_id):
        return self.material(key_id, "private")

    def resolve_public_key(self, key_id):
        return self.material(key_id, "public") if key_id in self.keys else None

    def material(self, key_id, half):
        key = self.keys[key_id]
        if key["alg"] == "hmac-sha256":
            return bytes.fromhex(key["secret"])
        return key[half].encode()


def digest_of(body):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def flipped(signature):
    """Another first bit, in what stands between the colons."""
    head, value, tail = signature.split(":")
    raw = bytearray(base64.b64decode(value))
    raw[0] ^= 1
    return f"{head}:{base64.b64encode(raw).decode()}:{tail}"


def change(request, what):
    """Changes one thing of a request that is signed."""
    headers = request.headers
    if what == "method":
        request.method = "PUT"
    elif what == "path":
        request.url = request.url.replace("/charges", "/refunds")
    elif what == "query":
        request.url = request.url.replace("order=7", "order=8")
    elif what == "host":
        headers["Host"] = "elsewhere.test"
    elif what == "body":
        request.body = b"9" + request.body[1:]
    elif what == "body and digest":
        request.body = b"9" + request.body[1:]
        headers["Content-Digest"] = digest_of(request.body)
    elif what == "created":
        text, _, rest = headers["Signature-Input"].partition(";created=")
        number, semicolon, rest = rest.partition(";")
        headers["Signature-Input"] = f"{text};created={int(number) - 1}{semicolon}{rest}"
    elif what == "nonce":
        text, _, rest = headers["Signature-Input"].partition(';nonce="')
        headers["Signature-Input"] = f'{text};nonce="{"x" if rest[0] != "x" else "y"}{rest[1:]}'
    elif what == "signature":
        headers["Signature"] = flipped(headers["Signature"])
    elif what == "no signature":
        del headers["Signature"], headers["Signature-Input"]
    else:
        raise ValueError(what)


def sign_and_send(plan, case, session):
    body = None if case["body"] is None else case["body"].encode()
    request = requests.Request(case["method"], plan["url"] + case["target"], data=body)
    request = session.prepare_request(request)
    # Not always the key that the id is of.
    key = plan["keys"][case["key"]]
    signer = HTTPMessageSigner(
        signature_algorithm=ALGORITHMS[key["alg"]], key_resolver=Keys({case["keyid"]: key})
    )
    now = datetime.datetime.now()
    what = case["change"]
    covered = COMPONENTS[1:] if what == "method uncovered" else COMPONENTS
    if case["also"]:
        covered += (case["also"],)
    signer.sign(
        request,
        key_id=case["keyid"],
        label="py",
        created=now - datetime.timedelta(seconds=120) if what == "old" else now,
        nonce=None if what == "without nonce" else secrets.token_urlsafe(18),
        covered_component_ids=covered,
        # With the body it makes `Content-Digest` and covers it.
        body=None if what == "body uncovered" else body,
    )
    if what == "replay":
        # It is permitted, so its body is read and the connection stays.
        session.send(request, timeout=20)
    elif what not in (None, "old", "without nonce", "method uncovered", "body uncovered"):
        change(request, what)
    response = session.send(request, timeout=20)
    return {
        "name": case["name"],
        "status": response.status_code,
        "code": response.json().get("code"),
        "why": response.headers.get("zt-why"),
        "said": response.json(),
        "answer": answer(plan, request, response),
    }


def answer(plan, request, response):
    """What their verifier says of the answer, which is signed with the same algorithm."""
    verifier = HTTPMessageVerifier(
        signature_algorithm=ALGORITHMS[plan["alg"]],
        key_resolver=Keys(plan["keys"]),
    )
    components = ("@status", "content-type", *OF_THE_REQUEST)
    if "Signature" in request.headers:
        components += ('"signature";req;key="py"',)

    def refusal(body):
        try:
            # `body` has its digest checked, which must be covered, too.
            verifier.verify(response, max_age=MAX_AGE, require_components=components, body=body)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return None

    refused = refusal(response.content)
    if refused is not None:
        return refused
    if refusal(response.content + b" ") is None:
        return "another body passes, too"
    response.status_code += 1
    if refusal(response.content) is None:
        return "another status passes, too"
    response.status_code -= 1
    return "verified"


def sign():
    plan = json.load(sys.stdin)
    for case in plan["cases"]:
        # A refusal may come before the body went out, and then the connection ends (RFC 9112
        # section 9.6): a client that sends the next request on it can only try again.
        with requests.Session() as session:
            # No proxies of the environment.
            session.trust_env = False
            print(json.dumps(sign_and_send(plan, case, session)), flush=True)


class Request:
    """What their verifier wants of a request."""

    def __init__(self, handler):
        self.method = handler.command
        self.url = f"http://{handler.headers['Host']}{handler.path}"
        self.headers = handler.headers


class Response:
    """And of a response."""

    def __init__(self, status_code, headers, request):
        self.status_code = status_code
        self.headers = headers
        self.request = request


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    plan = None

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        components = COMPONENTS + (("content-digest",) if body else ())
        verifier = HTTPMessageVerifier(
            signature_algorithm=ALGORITHMS[self.plan["alg"]], key_resolver=Keys(self.plan["keys"])
        )
        try:
            [result] = verifier.verify(
                Request(self),
                max_age=MAX_AGE,
                expect_tag=self.headers["x-expect-tag"],
                require_components=components,
                body=body,
            )
            answer = {"covered": result.covered_components, "parameters": result.parameters}
            status = 200
        except Exception as error:
            answer = {"refused": f"{type(error).__name__}: {error}"}
            status = 401
        text = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in self.signed(status, text).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def signed(self, status, text):
        response = Response(status, {"Content-Type": "application/json"}, Request(self))
        signer = HTTPMessageSigner(
            signature_algorithm=ALGORITHMS[self.plan["alg"]], key_resolver=Keys(self.plan["keys"])
        )
        signer.sign(
            response,
            key_id=ANSWERS,
            covered_component_ids=(
                "@status",
                "content-type",
                *OF_THE_REQUEST,
                '"signature";req;key="sig1"',
            ),
            body=text,
        )
        return response.headers

    do_GET = do_POST = do_PUT = handle_any

    def log_message(self, *_):
        pass


def verify():
    Handler.plan = json.load(sys.stdin)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    {"sign": sign, "verify": verify}[sys.argv[1]]()
