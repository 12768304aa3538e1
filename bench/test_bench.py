#!/usr/bin/env python3
"""Tests of the benchmark tools themselves.   usage: test_bench.py MAILHOLD"""
import email
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
MAILHOLD = sys.argv.pop(1)
# The mailbox of seed 7 with 150 messages, and its first day. Other bytes are another data set: old figures end there.
GOLDEN = "06cd0461c3c2b00338c193a0f6837855c9de45fff7cabdcf197d1c644ba7be73"
GOLDEN_NEXT = "f1276754645ae1bc008fecdf45b3dee9b55cc82214724dab9b4bf871da33dcab"

GOLDEN_LIGHT = "e7b457bd648fc7ab8b177d36a1aa722f95e02e5dc196e0d1e59046030d7349f0"


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

	def test_a_light_mailbox_has_no_files_and_a_colleague_has_the_same_mail(self):
		with tempfile.TemporaryDirectory() as work:
			light, other = os.path.join(work, "l"), os.path.join(work, "o")
			generate("--light", light)
			generate("--light", "--reader", "1", other)
			self.assertEqual(digest(light), GOLDEN_LIGHT)
			bodies = [{}, {}]
			for seen, root in zip(bodies, (light, other)):
				for folder, _, names in os.walk(root):
					for name in names:
						with open(os.path.join(folder, name), "rb") as data:
							mail = email.message_from_bytes(data.read())
						self.assertFalse(any(part.get_content_disposition() == "attachment" for part in mail.walk()))
						seen[mail["Message-ID"]] = (mail["Delivered-To"], mail.as_string().partition("\n\n")[2])
			shared = set(bodies[0]) & set(bodies[1])
			self.assertGreater(len(shared), 5)
			self.assertTrue(all(bodies[0][one][1] == bodies[1][one][1] for one in shared))
			self.assertTrue(any(bodies[0][one][0] != bodies[1][one][0] for one in shared))

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
				"--generate", "150", "--rounds", "1", "--hurry", "--quiet", "--markdown", "--json", table, "--work", work + "/w"]
			told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
			self.assertIn("| first snapshot, wall |", told)
			self.assertEqual(os.listdir(work + "/w"), [])
			with open(table) as data:
				samples = json.load(data)["samples"]
			steps = {"first", "same", "more", "check", "restore", "one", "prune"}
			self.assertEqual(set(samples["mailhold"]), steps)
			self.assertEqual(set(samples["mailhold, key file"]), steps)
			self.assertEqual(set(samples["cp -r"]), {"restore"})
			self.assertLess(samples["mailhold"]["prune"][0]["stored_bytes"], samples["mailhold"]["more"][0]["stored_bytes"])
			self.told_in_a_readme(os.path.join(work, "README.md"), table)
			for measure in samples["mailhold"].values():
				self.assertGreater(measure[0]["wall_s"], 0.001)
				self.assertGreater(measure[0]["rss_bytes"], 64 << 20)  # the key derivation alone
				self.assertGreater(measure[0]["stored_bytes"], 100000)

	def told_in_a_readme(self, readme, table):
		"""The block is made anew, what stands around it stays, and a second time changes nothing."""
		compare = load("compare")
		with open(readme, "w") as out:
			out.write("before\n" + compare.BEGIN + "old\n" + compare.END + "after\n")
		texts = []
		for _ in range(2):
			compare.write_figures(readme, [table, table])
			with open(readme) as made:
				texts.append(made.read())
		self.assertEqual(texts[0], texts[1])
		self.assertTrue(texts[0].startswith("before\n" + compare.BEGIN) and texts[0].endswith(compare.END + "after\n"))
		self.assertNotIn("old\n", texts[0])
		self.assertIn("| prune of half |", texts[0])

	def test_a_message_that_did_not_come_back_alone_and_whole_is_told(self):
		compare = load("compare")
		with tempfile.TemporaryDirectory() as work:
			source = os.path.join(work, "s")
			generate(source)
			tool = compare.Copy(os.path.join(work, "t"), source)
			path = os.path.relpath(next(compare.walk(source)), source)
			there = os.path.join(tool.target, path)
			os.makedirs(os.path.dirname(there))
			with open(there, "wb"):
				self.assertRaises(compare.Failure, compare.same_one, tool, source, path)
			shutil.copy(os.path.join(source, path), there)
			compare.same_one(tool, source, path)
			with open(there + "x", "wb"):
				self.assertRaises(compare.Failure, compare.same_one, tool, source, path)

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


class Curve(unittest.TestCase):
	def test_the_exponent_is_that_of_the_power(self):
		curve = load("curve")
		for power in (0, .5, 1, 1.3):
			self.assertAlmostEqual(curve.exponent([(n, 3 * n**power) for n in (10, 30, 1000)]), power)
		self.assertIsNone(curve.exponent([(10, 1)]))

	def test_it_runs_tells_the_looks_and_draws(self):
		with tempfile.TemporaryDirectory() as work:
			picture = os.path.join(work, "out.svg")
			told = subprocess.run([os.path.join(HERE, "curve"), "--mailhold", MAILHOLD, "--tools", "mailhold", "--sizes",
				"50,100", "--light", "--rounds", "1", "--hurry", "--quiet", "--work", work, "--svg", picture],
				capture_output=True, text=True, check=False)
			self.assertEqual(told.returncode, 0, told.stderr)
			for title in ("first snapshot, wall", "prune of half, stored", "find by sender, wall"):
				self.assertIn(title, told.stdout)
			root = xml.etree.ElementTree.parse(picture).getroot()
			self.assertGreater(len(root.findall(".//{*}circle")), 20)
			self.assertEqual(os.listdir(work), ["out.svg"])


class Life(unittest.TestCase):
	def test_it_runs_restores_days_and_draws(self):
		with tempfile.TemporaryDirectory() as work:
			table, picture = os.path.join(work, "out.json"), os.path.join(work, "out.svg")
			told = subprocess.run([os.path.join(HERE, "life"), "--mailhold", MAILHOLD, "--tools", "mailhold", "--messages",
				"60", "--days", "5", "--rounds", "1", "--hurry", "--quiet", "--work", work, "--json", table, "--svg",
				picture], capture_output=True, text=True, check=False)
			self.assertEqual(told.returncode, 0, told.stderr)
			with open(table) as data:
				samples = json.load(data)["samples"]["mailhold, key file"]
			self.assertEqual(len(samples["days"]), 5)
			self.assertEqual(sorted(samples["restores"]), sorted("%s %d" % (when, day) for when in ("before", "after")
				for day in (1, 3, 5)))
			self.assertLess(samples["days"][-1]["rss_bytes"], 64 << 20)  # no key derivation
			self.assertGreater(samples["prune"]["stored_bytes"], 1000)
			xml.etree.ElementTree.parse(picture)


class Svg(unittest.TestCase):
	def test_a_chart_places_values_between_its_axes(self):
		svg = load("svg")
		root = xml.etree.ElementTree.fromstring(svg.page([svg.chart("a < b", "s", [("x", [(10, .1), (1000, 5)]),
			("nothing", [(10, None), (20, 0)])])]))
		dots = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in root.findall(".//{*}circle")]
		self.assertEqual(len(dots), 2)
		self.assertTrue(svg.LEFT < dots[0][0] < dots[1][0] < svg.WIDTH - svg.RIGHT)
		self.assertTrue(svg.HEIGHT - svg.BOTTOM > dots[0][1] > dots[1][1] > svg.TOP)


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
