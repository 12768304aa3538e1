"""An IMAP server that is strict about what it is told and faulty on request, with TLS, for stories of the command line.

usage: imap_liar.py CERTIFICATE KEY FOLDER SEED

The user's name is the fault: every name of FAULTS below has a mailbox of its own. FOLDER/ports gets two ports: the server's, and one
of a line that cuts, delays, drips and spoils what goes over every other connection. FOLDER/want-NAME-RUN gets the hashes of what
a reader must end up with, RUN counting the logins that list folders, and FOLDER/given-NAME-RUN a line for each body that it
was given. Every command that could change a mailbox, and every other offence,
goes to FOLDER/offences.
"""
import hashlib
import os
import random
import re
import socket
import ssl
import sys
import threading
import time

READING = ("CAPABILITY", "AUTHENTICATE", "ENABLE", "LIST", "LSUB", "STATUS", "EXAMINE", "UID FETCH", "UID SEARCH", "NOOP", "LOGOUT",
	"GETACL", "GETMETADATA", "GETQUOTAROOT")
ALL = "IMAP4rev1 SASL-IR LITERAL+ ENABLE LIST-EXTENDED LIST-STATUS SPECIAL-USE CONDSTORE QRESYNC ESEARCH UNSELECT"
GMAIL = "IMAP4rev1 SASL-IR UNSELECT X-GM-EXT-1 ENABLE CONDSTORE ESEARCH LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE"
POISON = 7


def invented(number, size=400):
	body = b"line of %d\r\n" % number * (size // 12)
	return b"From: a@example.org\r\nMessage-ID: <%d@example.org>\r\nSubject: number %d\r\n\r\n" % (number, number) + body


class Message:
	def __init__(self, uid, body, flags=(), object=None):
		self.uid, self.body, self.flags, self.modseq, self.object = uid, body, list(flags), 2, object
		self.date = "%2d-Jul-2024 02:44:25 -0700" % (object % 28 + 1 if object else uid)


class Box:
	"""One account and its fault."""

	def __init__(self, name):
		self.name, self.lock, self.run, self.logins, self.count = name, threading.RLock(), 0, 0, {}
		self.capabilities, self.validity, self.next, self.modseq, self.gone = ALL, 77, 31, 9, set()
		self.delimiter, self.names = '"/"', [b"INBOX"]
		self.messages = [Message(i, invented(i), ["\\Seen", "$Label%d" % (i % 3)] if i % 2 else []) for i in range(1, 31)]
		self.connections = 0
		self.folders, self.nexts = None, {} # name to messages, where not all folders hold the same; the UIDNEXT of each
		getattr(self, "make_" + name.replace("-", "_"), lambda: None)()

	def mail(self, name):
		return self.messages if self.folders is None else self.folders[name]

	def put(self, name, number):
		"""The mail of that number, with its object id, as another message of a folder. All that is about it is the same everywhere."""
		uid = self.nexts.get(name, 1)
		self.nexts[name] = uid + 1
		one = Message(uid, invented(number, 300 + number), [], number)
		one.modseq = self.modseq
		self.folders.setdefault(name, []).append(one)

	def take(self, name, numbers):
		self.folders[name] = [m for m in self.folders[name] if m.object not in numbers]

	def times(self, what):
		self.count[what] = self.count.get(what, 0) + 1
		return self.count[what]

	def make_plain(self):
		self.capabilities = "IMAP4rev1"

	def make_uidvalidity_missing(self):
		self.capabilities, self.validity = "IMAP4rev1 CONDSTORE", 0

	def make_wrong_literal(self):
		self.capabilities = "IMAP4rev1"

	def make_too_many(self):
		self.messages = [Message(i, invented(i, 1500000)) for i in range(1, 11)]
		self.next = 11

	def make_large(self):
		self.messages = [Message(i, random.Random(i).randbytes(200000 * i)) for i in range(1, 15)]
		self.next = 15

	def make_nul(self):
		for m in self.messages:
			m.body = m.body.replace(b"line", b"\0\xff\xfe\r\n")

	def make_names(self):
		self.delimiter = '"\\\\"'
		self.names = [b"INBOX", b"Entw&APw-rfe", "Gr\u00fc\u00dfe".encode(), b"caf\xe9", b"a\\b\\c", b'q"uote', b"&broken", b"a/b", b"trailing "]

	def make_names_old(self):
		self.make_names()
		self.capabilities = "IMAP4rev1"

	def make_flat(self):
		self.delimiter, self.names = "NIL", [b"INBOX", b"a.b"]

	def make_objectid(self):
		"""A mail may lie in two folders, and moves and renames keep its EMAILID (RFC 8474, 5.1)."""
		self.capabilities, self.folders = ALL + " OBJECTID", {}
		self.names = [b"Archive", b"INBOX", b"Work"]
		for name, numbers in ((b"Archive", range(1, 11)), (b"INBOX", range(8, 29)), (b"Work", range(101, 107))):
			for number in numbers:
				self.put(name, number)

	def day_objectid(self):
		self.modseq += 10
		if self.run == 2:
			for number in range(12, 17):
				self.put(b"Archive", number)
			self.take(b"INBOX", range(12, 17))
			self.names[2:] = [b"Work 2024"]
			del self.folders[b"Work"]
			for number in range(101, 107):
				self.put(b"Work 2024", number)
			self.put(b"INBOX", 29)

	def make_gmail(self):
		"""All Mail has each mail once; a folder for each label shows it again."""
		self.capabilities, self.folders = GMAIL, {}
		self.names = [b"INBOX", b"Work", b"[Gmail]/All Mail"]
		for name, numbers in ((b"INBOX", range(1, 21)), (b"Work", range(15, 25)), (b"[Gmail]/All Mail", range(1, 29))):
			for number in numbers:
				self.put(name, number)

	make_gmail_dry = make_gmail

	def day_gmail(self):
		self.modseq += 10
		if self.run == 2: # archived, labelled, a label taken away; nothing new
			self.take(b"INBOX", {3, 4, 5})
			for number in (1, 2, 3):
				self.put(b"Work", number)
			self.take(b"Work", {15, 16})
		elif self.run == 3: # one that is new, with a label that is new
			self.names.insert(1, b"Travel")
			for name in (b"INBOX", b"Travel", b"[Gmail]/All Mail"):
				self.put(name, 29)
			self.put(b"Travel", 7)

	def make_line(self):
		self.make_large()

	def begin_run(self):
		"""Another login lists the folders: a day has passed."""
		self.run += 1
		getattr(self, "day_" + self.name.replace("-", "_"), lambda: None)()
		self.note()

	def note(self):
		skip = {POISON} if self.name.startswith("poison") or self.name == "wrong-literal" else set()
		if self.name == "vanish":
			skip = {5, 9}
		elif self.name == "fewer" and self.run == 1:
			skip = {30}
		lines = [hashlib.sha256(m.body).hexdigest() for name in self.names for m in self.mail(name) if m.uid not in skip]
		with open(os.path.join(FOLDER, "want-%s-%d" % (self.name, self.run)), "w") as f:
			f.write("\n".join(sorted(lines)) + "\n")

	def day_full(self):
		if self.run == 2:
			self.modseq = 20
			self.messages[2].flags, self.messages[2].modseq = ["\\Flagged"], 15
			self.gone = {11, 12}
			self.messages = [m for m in self.messages if m.uid not in self.gone] + [Message(31, invented(1031))]
			self.messages[-1].modseq, self.next = 20, 32

	def day_uidvalidity_changed(self):
		if self.run == 2:
			self.validity = 99
			for m in self.messages:
				m.uid += 5
			self.next = 36

	def day_uidvalidity_repeats(self):
		if self.run == 2:
			self.messages = [Message(i, invented(500 + i)) for i in range(1, 21)]
			self.next, self.modseq = 21, 12

	def day_uidvalidity_missing(self):
		if self.run == 2:
			self.messages = [Message(i, invented(600 + i, 300 + 12 * i)) for i in range(1, 31)]


class Hangup(Exception):
	pass


class Talk:
	"""One connection."""

	def __init__(self, sock):
		self.sock, self.file, self.box, self.mailbox = sock, sock.makefile("rb"), None, None

	def say(self, data):
		self.sock.sendall(data if isinstance(data, bytes) else data.encode())

	def offence(self, line):
		with open(os.path.join(FOLDER, "offences"), "ab") as f:
			f.write((self.box.name.encode() if self.box else b"-") + b": " + line + b"\n")

	def read_command(self):
		line = self.file.readline(1 << 20)
		if not line.endswith(b"\r\n"):
			raise Hangup
		parts = [line[:-2]]
		while True:
			m = re.search(rb"\{(\d+)(\+?)\}$", parts[-1])
			if not m:
				return b"".join(parts)
			if not m.group(2):
				self.say("+ go on\r\n")
			elif self.box and "LITERAL+" not in self.box.capabilities:
				self.offence(b"LITERAL+ was not offered: " + line)
			parts[-1] = parts[-1][:m.start()]
			parts.append(b'"' + self.file.read(int(m.group(1))).replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"')
			parts.append(self.file.readline(1 << 20)[:-2])

	def serve(self):
		self.say("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hello\r\n")
		while True:
			line = self.read_command()
			tag, _, rest = line.partition(b" ")
			word = next((w for w in READING if rest.upper() == w.encode() or rest.upper().startswith(w.encode() + b" ")), None)
			if not word:
				self.offence(line)
				self.say(tag + b" BAD what?\r\n")
				continue
			if word == "LOGOUT":
				self.say(b"* BYE\r\n" + tag + b" OK\r\n")
				return
			answer = getattr(self, "do_" + word.replace(" ", "_").lower())(rest[len(word) + 1:], tag)
			self.say(tag + b" " + (answer or "OK done").encode() + b"\r\n")

	def do_capability(self, _, tag):
		self.say("* CAPABILITY %s\r\n" % (self.box.capabilities if self.box else "IMAP4rev1 SASL-IR AUTH=PLAIN"))

	def do_authenticate(self, rest, tag):
		import base64
		user = base64.b64decode(rest.split()[1]).split(b"\0")[1].decode()
		with BOXES_LOCK:
			self.box = BOXES.setdefault(user, None) or BOXES.update({user: Box(user)}) or BOXES[user]
		with self.box.lock:
			self.box.connections += 1
			if self.box.name == "too-many" and self.box.connections > 1:
				self.box.connections -= 1
				return "NO [LIMIT] Too many simultaneous connections"
		return "OK [CAPABILITY %s] in" % self.box.capabilities

	def do_enable(self, rest, tag):
		self.say("* ENABLED QRESYNC\r\n")

	def quoted(self, name):
		return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'

	def status(self, name):
		b = self.box
		return "(MESSAGES %d UIDNEXT %d%s%s)" % (len(b.mail(name)), b.nexts.get(name, b.next), " UIDVALIDITY %d" % b.validity if b.validity else "",
			" HIGHESTMODSEQ %d" % b.modseq if "CONDSTORE" in b.capabilities else "")

	def do_list(self, rest, tag):
		with self.box.lock:
			self.box.begin_run()
			for name in self.box.names:
				# What is no quoted string goes as a literal; half of the others as atoms would be no different.
				text = self.quoted(name) if all(32 <= c < 127 for c in name) else b"{%d}\r\n" % len(name) + name
				self.say(b'* LIST (\\HasNoChildren) %s %s\r\n' % (self.box.delimiter.encode(), text))
				if b"STATUS" in rest:
					self.say(b"* STATUS " + text + b" " + self.status(name).encode() + b"\r\n")
			if self.box.name == "more":
				self.say('* LIST () "/" INBOX\r\n* SEARCH 1 2 3\r\n* X-NEWS (a (b {3}\r\n)()) "c")\r\n')

	def do_lsub(self, rest, tag):
		self.say('* LSUB () "/" INBOX\r\n')

	def named(self, rest):
		m = re.match(rb'"((?:[^"\\]|\\.)*)"|(\S+)', rest)
		return re.sub(rb"\\(.)", rb"\1", m.group(1)) if m.group(1) is not None else m.group(2)

	def do_status(self, rest, tag):
		name = self.named(rest)
		if name not in self.box.names:
			return "NO [NONEXISTENT] no such mailbox"
		self.say(b"* STATUS " + self.quoted(name) + b" " + self.status(name).encode() + b"\r\n")

	def do_examine(self, rest, tag):
		b, name = self.box, self.named(rest)
		if name not in b.names:
			self.offence(b"EXAMINE " + rest)
			return "NO [NONEXISTENT] no such mailbox"
		self.mailbox = name
		self.say("* FLAGS (\\Seen)\r\n* %d EXISTS\r\n* 0 RECENT\r\n* OK [UIDNEXT %d] n\r\n" % (len(b.mail(name)), b.nexts.get(name, b.next)))
		if b.validity:
			self.say("* OK [UIDVALIDITY %d] v\r\n" % b.validity)
		if "CONDSTORE" in b.capabilities:
			self.say("* OK [HIGHESTMODSEQ %d] m\r\n" % b.modseq)
		m = re.search(rb"QRESYNC \((\d+) (\d+)\)", rest)
		if m and int(m.group(1)) == b.validity:
			gone = b.gone if b.folders is None else set(range(1, b.nexts[name])) - {one.uid for one in b.mail(name)}
			if gone:
				self.say("* VANISHED (EARLIER) %s\r\n" % ",".join(map(str, sorted(gone))))
			for i, one in enumerate(b.mail(name)):
				if one.modseq > int(m.group(2)):
					self.say("* %d FETCH (UID %d FLAGS (%s) MODSEQ (%d))\r\n" % (i + 1, one.uid, " ".join(one.flags), one.modseq))
		return "OK [READ-ONLY] open"

	def do_noop(self, rest, tag):
		pass

	def do_uid_search(self, rest, tag):
		uids = [str(m.uid) for m in self.box.mail(self.mailbox)]
		self.say("* ESEARCH (TAG \"%s\") UID ALL %s\r\n" % (tag.decode(), ",".join(uids)) if b"RETURN" in rest else
			"* SEARCH %s\r\n" % " ".join(uids))

	def in_set(self, text):
		last = max([m.uid for m in self.box.mail(self.mailbox)] or [0])
		uids = set()
		for part in text.split(","):
			a, _, z = part.partition(":")
			a = last if a == "*" else int(a)
			z = last if z == "*" else int(z or a)
			uids.update(range(min(a, z), max(a, z) + 1))
		return uids

	def do_uid_fetch(self, rest, tag):
		b, items = self.box, rest.partition(b" ")[2].decode()
		if self.mailbox is None:
			self.offence(b"UID FETCH " + rest)
			return "BAD no mailbox is open"
		uids, bodies = self.in_set(rest.split(b" ")[0].decode()), "BODY" in items
		if (bodies and "BODY.PEEK[" not in items) or ("EMAILID" in items and "OBJECTID" not in b.capabilities) or (
			"X-GM-" in items and "X-GM-EXT-1" not in b.capabilities):
			self.offence(b"UID FETCH " + rest)
			return "BAD not so"
		refusal = getattr(self, "fault_" + b.name.replace("-", "_"), lambda *_: None)(uids, bodies) if bodies else None
		if refusal:
			return refusal
		since = re.search(r"CHANGEDSINCE (\d+)", items)
		chosen = [(i, m) for i, m in enumerate(b.mail(self.mailbox)) if m.uid in uids and (not since or m.modseq > int(since.group(1)))]
		for i, m in chosen[::-1] if b.name == "more" else chosen:
			if not bodies and b.name == "fewer" and b.run == 1 and m.uid == 30:
				continue
			if b.name == "vanish" and m.uid in (5, 9) and b.times("listed-%d" % m.uid) > 1:
				continue
			if bodies and b.name == "poison-passed-over" and m.uid == POISON:
				continue
			self.give(i, m, items)
			if bodies and b.name == "bye" and m.uid == 12 and b.times("bye") < 3:
				self.say("* BYE maintenance\r\n")
				raise Hangup

	def give(self, i, m, items):
		b, parts = self.box, ["UID %d" % m.uid]
		if "FLAGS" in items:
			parts.append("FLAGS (%s)" % " ".join(m.flags))
		if "INTERNALDATE" in items:
			parts.append('INTERNALDATE "%s"' % m.date)
		if "RFC822.SIZE" in items:
			parts.append("RFC822.SIZE %d" % {"wrong-size": (len(m.body) // 2, len(m.body) * 3, 0)[m.uid % 3]}.get(b.name, len(m.body)))
		if "EMAILID" in items:
			parts.append("EMAILID (M%012x)" % m.object)
		if "X-GM-MSGID" in items:
			parts.append("X-GM-MSGID %d" % (1278455344230330000 + m.object))
		head = ("* %d FETCH (" % (i + 1) + " ".join(parts)).encode()
		part = re.search(r"BODY.PEEK\[(HEADER)?\](?:<(\d+)\.(\d+)>)?", items)
		if not part:
			self.say(head + b")\r\n")
			return
		body, label = m.body, "BODY[]"
		with b.lock, open(os.path.join(FOLDER, "given-%s-%d" % (b.name, b.run)), "a") as f:
			f.write("%s %d %s\n" % (self.mailbox.decode("utf-8", "replace"), m.uid, part.group(1) or "all"))
		if part.group(1):
			body, label = body[:body.find(b"\r\n\r\n") + 4], "BODY[HEADER]"
		elif part.group(2):
			body, label = body[int(part.group(2)):][:int(part.group(3))], "BODY[]<%s>" % part.group(2)
		announced = len(body) + (5 if b.name == "wrong-literal" and m.uid == POISON else 0)
		data = head + (" %s %s{%d}\r\n" % (label, "~" if b.name == "nul" else "", announced)).encode() + body + b")\r\n"
		if b.name == "more":
			self.say("* %d EXISTS\r\n* OK [X-ODD] news\r\n* %d FETCH (FLAGS (\\Seen))\r\n" % (len(b.messages), i + 1))
			data += data + b"* 999 FETCH (UID 4242 BODY[] {3}\r\nabc)\r\n"
		if b.name == "drip" and m.uid < 4:
			for n in range(0, len(data), 7):
				self.say(data[n:n + 7])
				time.sleep(0.001)
			return
		self.say(data)

	# What each fault does before a body is given: None, or a refusal.

	def fault_poison_refused(self, uids, bodies):
		return "NO [SERVERBUG] cannot read it" if POISON in uids else None

	def fault_poison_cuts(self, uids, bodies):
		if POISON in uids:
			raise Hangup

	def fault_throttled(self, uids, bodies):
		return "NO [THROTTLED] not so fast" if self.box.times("asked") % 2 and self.box.times("refused") < 4 else None

	def fault_throttled_in_words(self, uids, bodies):
		return "BAD Request is throttled. Suggested Backoff Time: 200 milliseconds" if self.box.times("asked") == 1 else None


def answer(raw, context):
	try:
		sock = context.wrap_socket(raw, server_side=True)
	except (OSError, ssl.SSLError):
		return
	talk = Talk(sock)
	try:
		talk.serve()
	except (Hangup, OSError, ssl.SSLError, ValueError):
		pass
	finally:
		if talk.box:
			with talk.box.lock:
				talk.box.connections -= 1
		try:
			sock.close()
		except OSError:
			pass


def spoil(near, port, draw):
	"""A line: every other one cuts, delays, drips or spoils a byte."""
	far = socket.create_connection(("127.0.0.1", port))
	fault = draw.choice(["cut", "spoil", "delay", "drip"]) if draw.random() < 0.5 else None
	after = int(2 ** draw.uniform(11, 22))

	def carry(a, b, faulty):
		passed = 0
		try:
			while True:
				piece = a.recv(1 << 14)
				if not piece:
					break
				if faulty and passed + len(piece) > after:
					if fault == "cut":
						b.sendall(piece[:max(after - passed, 0)])
						break
					if fault == "spoil":
						at = max(after - passed, 0) % len(piece)
						piece = piece[:at] + bytes([piece[at] ^ 0x55]) + piece[at + 1:]
					if fault == "delay" and passed <= after:
						time.sleep(0.2)
				passed += len(piece)
				if faulty and fault == "drip" and passed < 40000:
					for n in range(0, len(piece), 500):
						b.sendall(piece[n:n + 500])
						time.sleep(0.0005)
				else:
					b.sendall(piece)
		except OSError:
			pass
		for s in (a, b):
			try:
				s.shutdown(socket.SHUT_RDWR)
			except OSError:
				pass

	threading.Thread(target=carry, args=(near, far, False), daemon=True).start()
	threading.Thread(target=carry, args=(far, near, fault is not None), daemon=True).start()


def main():
	context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
	context.load_cert_chain(sys.argv[1], sys.argv[2])
	server, line = (socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(2))
	ports = [s.getsockname()[1] for s in (server, line)]

	def lines():
		draw = random.Random(int(sys.argv[4]))
		while True:
			spoil(line.accept()[0], ports[0], draw)

	threading.Thread(target=lines, daemon=True).start()
	with open(os.path.join(FOLDER, "ports.part"), "w") as f:
		f.write("%d %d\n" % tuple(ports))
	os.rename(os.path.join(FOLDER, "ports.part"), os.path.join(FOLDER, "ports"))
	while True:
		threading.Thread(target=answer, args=(server.accept()[0], context), daemon=True).start()


FOLDER = sys.argv[3]
BOXES, BOXES_LOCK = {}, threading.Lock()
main()
