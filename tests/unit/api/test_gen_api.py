#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of spec/gen-api.py: each mistake in a declaration is refused by its name.

    test_gen_api.py GENERATOR FOLDER"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

FOLDER = pathlib.Path(sys.argv.pop())
GENERATOR = pathlib.Path(sys.argv.pop()).resolve()

MISTAKES = [
    ('[schema.X]\nfields.a = "nothing*"', "no type 'nothing'"),
    ('[schema.X]\nfields.a = "te xt"', "is no type"),
    ('[schema.X]\nfields.a = { type = "text", size = 5 }', "keys are type, about, min, max"),
    ('[schema.X]\nfield.a = "text"', "keys are about, fields, switch, cases"),
    ('[schema.X]\nswitch = "a"\n', "'a' is no field"),
    ('[schema.Error]\nfields.a = "text"', "declared twice"),
    ('[enum.EX]\nmembers = ["A"]\nstored = { B = "b" }', "'B' is no member"),
    ('[enum.EX]\nmembers = ["A"]\nold."0.9" = { A = "b" }', "old spellings go up to"),
    ('[view.x]\nschema = "Error"\nfrom = "t"\nkey = "id"\ncolumns.none = "x"', "has no 'none'"),
    ('[[op]]\npath = "/x"\nmethod = "GET"\nid = "X"\nabout = "x"\nright = "everybody"\ncall = "x"', "right is one of"),
    ('[[op]]\npath = "/x"\nmethod = "GET"\nid = "X"\nabout = "x"\nright = "view"', "one of list, get and call"),
    ('[[op]]\npath = "/x"\nmethod = "GET"\nid = "X"\nabout = "x"\nright = "view"\nlist = "session"', "a list has orders"),
    ('[[op]]\npath = "/x"\nmethod = "GET"\nid = "X"\nabout = "x"\nright = "view"\nget = "none"', "no view 'none'"),
    ('[[op]]\npath = "/x"\nmethod = "GET"\nid = "X"\nabout = "x"\nright = "view"\ncall = "x"\nbody = "None"', "no schema"),
    ('[[op]]\npath = "/X/{Id}"\nmethod = "GET"\nid = "X"\nabout = "x"\nright = "view"\ncall = "x"\n'
     '[[op]]\npath = "/x/{other}"\nmethod = "GET"\nid = "Y"\nabout = "x"\nright = "view"\ncall = "x"', "declared twice"),
    ('[[op]]\npath = "/x"\nmethod = "GET"\nid = "GetJob"\nabout = "x"\nright = "view"\ncall = "x"', "given twice"),
    ('[[op]]\npath = "/x"\nmethod = "GET"\nid = "X"\nabout = "x"\nright = "view"\ncall = "x"\nfilters = { a = "text like" }',
     "is not TYPE"),
    ('[[op]]\npath = "/x"\nmethod = "GET"\nid = "X"\nabout = "x"\nright = "view"\ncall = "x"\ncolour = 5', "unknown keys"),
]


def generate(folder, output, what="document"):
    return subprocess.run([sys.executable, "-B", GENERATOR, what, folder, output], capture_output=True, text=True,
                          check=False)


class Generator(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-api-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def test_mistakes(self):
        for text, words in MISTAKES:
            shutil.copytree(FOLDER, self.folder / "spec", dirs_exist_ok=True)
            (self.folder / "spec" / "zz.toml").write_text(text)
            done = generate(self.folder / "spec", self.folder / "out")
            self.assertNotEqual(done.returncode, 0, text)
            self.assertIn(words, done.stderr, text)

    def test_document(self):
        self.assertEqual(generate(FOLDER, self.folder / "out").stderr, "")
        document = json.loads((self.folder / "out").read_text())
        names = set()

        def walk(value):
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                if key == "$ref":
                    names.add(inner.rsplit("/", 1)[1])
                elif isinstance(inner, (dict, list)):
                    walk(inner)

        walk(document)
        self.assertEqual(names - set(document["components"]["schemas"]) - {"Error"}, set())
        identifiers = [op["operationId"] for ops in document["paths"].values() for op in ops.values()]
        self.assertEqual(len(identifiers), len(set(identifiers)))

    def test_same_again(self):
        for what in ("header", "source"):
            generate(FOLDER, self.folder / "one", what)
            generate(FOLDER, self.folder / "two", what)
            self.assertEqual((self.folder / "one").read_bytes(), (self.folder / "two").read_bytes())


if __name__ == "__main__":
    unittest.main()
