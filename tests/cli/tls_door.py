#!/usr/bin/env python3
"""tls_door.py CERTIFICATE KEY PORT TO: TLS on 127.0.0.1:PORT, in clear to 127.0.0.1:TO, for servers that speak none themselves."""
import select
import socket
import ssl
import sys
import threading


def carry(outside, inside):
    """One thread for both directions: a TLS connection must not be read and written at once."""
    try:
        while True:
            ready = [outside] if outside.pending() else select.select([outside, inside], [], [])[0]
            for source, target in ((outside, inside), (inside, outside)):
                if source in ready:
                    data = source.recv(65536)
                    if not data:
                        return
                    target.sendall(data)
    except OSError:
        pass
    finally:
        outside.close()
        inside.close()


def main():
    certificate, key, port, to = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    door = socket.create_server(("127.0.0.1", port))
    while True:
        plain, _ = door.accept()
        try:
            outside = context.wrap_socket(plain, server_side=True)
            inside = socket.create_connection(("127.0.0.1", to))
        except OSError:
            plain.close()
            continue
        threading.Thread(target=carry, args=(outside, inside), daemon=True).start()


if __name__ == "__main__":
    main()
