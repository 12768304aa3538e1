"""A strict authorisation server for tests: RFC 6749 (code, refresh, client credentials), 7636 (PKCE), 8628 (device code).

    oauth_server.py PORT TOKENS LOG [CERTIFICATE KEY]

Whatever is not as the RFCs want it is an "offence" line in LOG, and refused. The access token that is good stands in TOKENS as
"any:TOKEN" (a Dovecot passwd-file, which is looked at once a second: so long an answer with a token takes); a newer one takes
its place. A file TOKENS.mode steers it: "slow" says slow_down once,
"deny" refuses the user's consent, "rotate" gives a new refresh token each time and revokes everything when an old one is
used, "short" gives tokens of 30 s, "gone" answers 503, "odd" answers with things that are no JSON.
"""
import base64, hashlib, http.server, json, secrets, ssl, sys, time, urllib.parse

PORT, TOKENS, LOG = int(sys.argv[1]), sys.argv[2], sys.argv[3]
CLIENT, SECRET = "client-1", "client-secret-1"
codes, devices, refreshes, used = {}, {}, set(), set()

def mode():
    try:
        return open(TOKENS + ".mode").read().split()
    except FileNotFoundError:
        return []

def log(text):
    with open(LOG, "a") as f:
        f.write(text + "\n")

def give(refresh=True):
    access = "access-" + secrets.token_urlsafe(30 + secrets.randbelow(30))
    with open(TOKENS, "w") as f:
        f.write("any:%s\n" % access)
    log("gave " + access)
    time.sleep(1.2)
    answer = {"access_token": access, "token_type": "bearer", "expires_in": 30 if "short" in mode() else 3600, "scope": "mail"}
    if refresh:
        answer["refresh_token"] = secrets.token_urlsafe(40)
        refreshes.add(answer["refresh_token"])
        log("refresh " + answer["refresh_token"])
    return 200, answer

def refuse(error, why=None):
    log("refused " + error)
    return 400, {"error": error, **({"error_description": why} if why else {})}

class Server(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, status, body):
        text = b"<html>busy" if "odd" in mode() else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def offence(self, text):
        log("offence: " + text)
        self.answer(*refuse("invalid_request"))

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        q = urllib.parse.parse_qs(url.query, strict_parsing=True)
        if url.path != "/authorize" or any(len(v) != 1 for v in q.values()):
            return self.offence("GET " + url.path)
        q = {k: v[0] for k, v in q.items()}
        redirect = urllib.parse.urlsplit(q.get("redirect_uri", ""))
        if (q.get("response_type"), q.get("client_id"), q.get("code_challenge_method"), q.get("scope")) != ("code", CLIENT, "S256", "mail"):
            return self.offence("authorization request " + url.query)
        if redirect.scheme != "http" or redirect.hostname != "127.0.0.1" or not redirect.port or len(q.get("state", "")) < 32:
            return self.offence("redirect or state")
        if len(q.get("code_challenge", "")) != 43:
            return self.offence("code challenge")
        code = secrets.token_urlsafe(20) + "/+ ~"
        codes[code] = q
        back = {"state": q["state"], "error": "access_denied"} if "deny" in mode() else {"code": code, "state": q["state"]}
        self.send_response(302)
        self.send_header("Location", q["redirect_uri"] + "?" + urllib.parse.urlencode(back))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode("ascii")
        q = urllib.parse.parse_qs(body, strict_parsing=True, keep_blank_values=True)
        if self.headers["Content-Type"] != "application/x-www-form-urlencoded" or any(len(v) != 1 or not v[0] for v in q.values()):
            return self.offence("form")
        q = {k: v[0] for k, v in q.items()}
        if "gone" in mode():
            return self.answer(503, {})
        if q.get("client_id") != CLIENT:
            return self.answer(*refuse("invalid_client"))
        if self.path == "/device":
            return self.answer(*self.device(q))
        if self.path == "/token":
            return self.answer(*self.token(q))
        self.offence("POST " + self.path)

    def device(self, q):
        if set(q) != {"client_id", "scope"}:
            log("offence: device request " + str(sorted(q)))
        code = secrets.token_urlsafe(30)
        devices[code] = ["deny" if "deny" in mode() else "pending"] + (["slow"] if "slow" in mode() else [])
        return 200, {"device_code": code, "user_code": "WDJB-MJHT", "verification_uri": "https://example.org/device",
                     "expires_in": 60, "interval": 1}

    def token(self, q):
        grant = q.get("grant_type")
        if grant == "urn:ietf:params:oauth:grant-type:device_code":
            waits = devices.get(q.get("device_code"))
            if waits is None:
                return refuse("expired_token")
            if waits:
                return refuse({"pending": "authorization_pending", "slow": "slow_down", "deny": "access_denied"}[waits.pop(0)])
            del devices[q["device_code"]]
            return give()
        if grant == "authorization_code":
            asked = codes.pop(q.get("code"), None)
            if asked is None or asked["redirect_uri"] != q.get("redirect_uri"):
                return refuse("invalid_grant")
            hashed = hashlib.sha256(q.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() != asked["code_challenge"] or len(q["code_verifier"]) < 43:
                log("offence: verifier")
                return refuse("invalid_grant")
            return give()
        if grant == "client_credentials":
            return give(False) if q.get("client_secret") == SECRET and q.get("scope") == "mail" else refuse("invalid_client", "a wrong secret")
        if grant == "refresh_token":
            token = q.get("refresh_token")
            if token in used and "rotate" in mode():
                refreshes.clear()
                log("offence: an old refresh token")
            if token not in refreshes:
                return refuse("invalid_grant", "the token is not good any more")
            if "rotate" in mode():
                refreshes.remove(token)
                used.add(token)
            return give("rotate" in mode())
        return refuse("unsupported_grant_type")

server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Server)
if len(sys.argv) > 4:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4], sys.argv[5])
    server.socket = context.wrap_socket(server.socket, server_side=True)
log("ready")
server.serve_forever()
