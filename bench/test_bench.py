#!/usr/bin/env python3
"""Tests of the benchmark tools themselves.   usage: test_bench.py MAILHOLD"""
import email
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
MAILHOLD = sys.argv.pop(1)
# The mailbox of seed 7 with 150 messages, and its first day. Other bytes are another data set: old figures end there.
GOLDEN = "06cd0461c3c2b00338c193a0f6837855c9de45fff7cabdcf197d1c644ba7be73"
GOLDEN_NEXT = "f1276754645ae1bc008fecdf45b3dee9b55cc82214724dab9b4bf871da33dcab"


def load(name):
	loader = importlib.machinery.SourceFileLoader(name, os.path.join(HERE, name))
	module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
	sys.dont_write_bytecode = True
	loader.exec_module(module)
	return module


def generate(*words):
	subprocess.run([sys.executable, os.path.join(HERE, "generate"), "--seed", "7", "--messages", "150", *words], check=True,
		stdout=subprocess.DEVNULL)


def digest(root):
	"""Names, times and bytes of all files."""
	whole = hashlib.sha256()
	for folder, folders, names in os.walk(root):
		folders.sort()
		for name in sorted(names):
			path = os.path.join(folder, name)
			with open(path, "rb") as data:
				whole.update(("%s %d\n" % (os.path.relpath(path, root), os.stat(path).st_mtime)).encode() + data.read())
	return whole.hexdigest()


class Generate(unittest.TestCase):
	def test_a_seed_gives_the_same_mailbox_and_the_same_next_day(self):
		with tempfile.TemporaryDirectory() as work:
			mail = os.path.join(work, "m")
			generate(mail)
			self.assertEqual(digest(mail), GOLDEN)
			generate("--churn", "1", mail)
			self.assertEqual(digest(mail), GOLDEN_NEXT)

	def test_the_mail_is_well_formed_and_has_what_mail_has(self):
		with tempfile.TemporaryDirectory() as work:
			mail, kinds, crlf, repeated = os.path.join(work, "m"), set(), 0, {}
			generate("--messages", "600", mail)
			for folder, _, names in os.walk(mail):
				for name in names:
					with open(os.path.join(folder, name), "rb") as data:
						raw = data.read()
					crlf += b"\r\n" in raw[:2000]
					for part in email.message_from_bytes(raw).walk():
						self.assertEqual(part.defects, [], name)
						kinds.add(part.get_content_type())
						if part.get_filename():
							body = part.get_payload(decode=True)
							repeated[body] = repeated.get(body, 0) + 1
			self.assertLessEqual({"application/pdf", "image/jpeg", "text/calendar", "text/html", "text/csv"}, kinds)
			self.assertGreater(crlf, 20)
			self.assertGreater(sum(count > 1 for count in repeated.values()), 10)


class Prune(unittest.TestCase):
	def test_it_runs_and_tells_every_step(self):
		with tempfile.TemporaryDirectory() as work:
			out = os.path.join(work, "out.json")
			told = subprocess.run([os.path.join(HERE, "prune"), "--mailhold", MAILHOLD, "--tools", "mailhold", "--messages",
				"60", "--days", "4", "--rounds", "1", "--hurry", "--quiet", "--work", work, "--json", out],
				capture_output=True, text=True, check=False)
			self.assertEqual(told.returncode, 0, told.stderr)
			with open(out) as data:
				samples = json.load(data)["samples"]
			for name in ("mailhold", "mailhold, key file"):
				self.assertEqual(sorted(samples[name]), ["after", "check", "prune"])
				self.assertGreater(samples[name]["prune"][0]["wall_s"], 0)
				self.assertGreater(samples[name]["prune"][0]["stored_bytes"], 1000)
			self.assertIn("forget every second, free the space, wall", told.stdout)


class Compare(unittest.TestCase):
	def test_new_mail_shares_no_line_of_weight_and_keeps_its_shape(self):
		old = b"Subject: one two three four five six\r\n\r\n" + b"words that stand in a row here, some of them\r\n" * 5
		old += (b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3\r\n") * 3
		new = load("compare").like(old, random.Random(1))
		before, after = old.splitlines(), new.splitlines()[1:]
		self.assertEqual([len(line) for line in before], [len(line) for line in after])
		self.assertFalse({line for line in before if len(line) > 20} & set(after))

	def test_a_run_tells_every_number_and_leaves_nothing_behind(self):
		with tempfile.TemporaryDirectory() as work:
			table = os.path.join(work, "table.json")
			os.mkdir(os.path.join(work, "w"))
			words = [sys.executable, os.path.join(HERE, "compare"), "--mailhold", MAILHOLD, "--tools", "mailhold,cp -r",
				"--generate", "150", "--rounds", "1", "--quiet", "--markdown", "--json", table, "--work", work + "/w"]
			told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
			self.assertIn("| first snapshot, wall |", told)
			self.assertEqual(os.listdir(work + "/w"), [])
			with open(table) as data:
				samples = json.load(data)["samples"]
			self.assertEqual(set(samples["mailhold"]), {"first", "same", "more", "restore"})
			self.assertEqual(set(samples["mailhold, key file"]), set(samples["mailhold"]))
			self.assertEqual(set(samples["cp -r"]), {"restore"})
			for measure in samples["mailhold"].values():
				self.assertGreater(measure[0]["wall_s"], 0.001)
				self.assertGreater(measure[0]["rss_bytes"], 64 << 20)  # the key derivation alone
				self.assertGreater(measure[0]["stored_bytes"], 100000)

	def test_a_restore_that_differs_is_told(self):
		compare = load("compare")
		with tempfile.TemporaryDirectory() as work:
			source = os.path.join(work, "s")
			generate(source)
			tool = compare.Copy(os.path.join(work, "t"), source)
			subprocess.run(tool.restore(), check=True)
			compare.same_tree(tool, source)
			with open(next(compare.walk(tool.target)), "ab") as data:
				data.write(b"x")
			self.assertRaises(compare.Failure, compare.same_tree, tool, source)


class Sizes(unittest.TestCase):
	def test_a_number_out_of_range_a_new_row_and_a_lost_row_are_told(self):
		sizes = load("sizes")
		rows = [["day 0", "text", 5, 600, 4000000, 800000], ["day 0", "refs", 2, 20, 100000, 90000]]
		table = sizes.as_csv(rows).splitlines()
		self.assertEqual(list(sizes.differences(table, rows)), [])
		rows[1][5] = 110000  # structure may move by a quarter…
		self.assertEqual(list(sizes.differences(table, rows)), [])
		rows[0][5] = 809000  # …content may not
		self.assertEqual(len(list(sizes.differences(table, rows))), 1)
		self.assertEqual(len(list(sizes.differences(table, [rows[1], ["day 1", *rows[1][1:]]]))), 2)


if __name__ == "__main__":
	unittest.main()
