#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs key and writer, end to end: test_keys.py HOLDFAST"""
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

HOLDFAST = os.path.abspath(sys.argv[1])


class Keys(unittest.TestCase):
    def setUp(self):
        # pylint: disable-next=consider-using-with
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        for name in ('one', 'two'):
            self.write(name, f'password {name}\n')
        self.paper = self.document('init')['paper_key']

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        with open(self.path(name), 'w', encoding='utf-8') as stream:
            stream.write(text)

    def holdfast(self, *words, code=0, way=('--password-file', 'one')):
        """What is printed; files are named by their name in the folder."""
        option = [way[0], self.path(way[1])] if way else []
        environment = {name: text for name, text in os.environ.items() if not name.startswith('HOLDFAST_')}
        done = subprocess.run([HOLDFAST, *words, '-r', self.path('repository'), *option], cwd=self.folder.name,
                              env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def document(self, *words, **more):
        return json.loads(self.holdfast(*words, '--json', **more))

    def listing(self, *words, **more):
        return [json.loads(line) for line in self.holdfast(*words, '--json', **more).splitlines()]

    def test_password(self):
        added = self.document('key', 'add', '--new-password-file', self.path('two'), '--label', 'second')
        self.assertEqual((added['way'], added['label']), ('password', 'second'))
        self.holdfast('points', way=('--password-file', 'two'))
        # The list needs no password, and says who is there.
        slots = {slot['slot']: slot for slot in self.listing('key', 'list', way=None)}
        self.assertEqual(slots[added['slot']]['label'], 'second')
        self.assertEqual(len(slots), 3)
        self.assertIn(added['slot'][:8], self.holdfast('key', 'list', way=None))

    def test_key_file(self):
        self.holdfast('key', 'add', '--new-key-file', 'key')
        self.assertEqual(stat.S_IMODE(os.stat(self.path('key')).st_mode), 0o600)
        self.holdfast('points', way=('--key-file', 'key'))
        # What is there is not overwritten, and no slot is added for it.
        count = len(self.listing('key', 'list'))
        self.assertIn("'key'", self.holdfast('key', 'add', '--new-key-file', 'key', code=1))
        self.assertEqual(len(self.listing('key', 'list')), count)

    def test_key_file_not_kept(self):
        self.write('wrong', 'wrong\n')
        self.holdfast('key', 'add', '--new-key-file', 'key', way=('--password-file', 'wrong'), code=5)
        self.assertFalse(os.path.exists(self.path('key')))

    def test_paper(self):
        added = self.document('key', 'add', '--paper')
        for text in (self.paper, added['paper_key']):
            self.write('paper', text)
            self.holdfast('points', way=('--key-file', 'paper'))
        self.assertNotEqual(self.paper, added['paper_key'])
        self.assertIn(' ', self.holdfast('key', 'add', '--paper').splitlines()[1])

    def test_hide(self):
        self.holdfast('key', 'add', '--new-key-file', 'key')
        slot = [slot['slot'] for slot in self.listing('key', 'list')][-1]
        self.assertEqual(self.document('key', 'hide', slot[:10]), {'slot': slot, 'hidden': True})
        self.assertIn('hidden', self.holdfast('points', way=('--key-file', 'key'), code=5))
        self.assertIn('no slot', self.holdfast('key', 'hide', slot[:3], code=1))
        self.assertIn('no slot', self.holdfast('key', 'hide', 'nothing', code=1))

    def test_change(self):
        changed = self.document('key', 'change', '--new-password-file', self.path('two'))
        self.holdfast('points', way=('--password-file', 'two'))
        self.holdfast('points', code=5)
        hidden = [slot['slot'] for slot in self.listing('key', 'list', way=None) if slot['hidden']]
        self.assertEqual(hidden, [changed['hidden_slot']])
        self.write('paper', self.paper)
        message = self.holdfast('key', 'change', '--new-password-file', 'one', way=('--key-file', 'paper'), code=2)
        self.assertIn('not opened with a password', message)

    def test_rotate(self):
        self.assertEqual([self.document('key', 'rotate')['generation'] for _ in range(2)], [1, 2])

    def test_export(self):
        text = self.holdfast('key', 'export', way=None)
        self.assertTrue(text.startswith('holdfast keys 1\n'))
        self.assertEqual(self.document('key', 'export', way=None)['keys'], text)
        self.assertEqual(self.document('key', 'export', '--to', 'keys', way=None), {'file': 'keys'})
        with open(self.path('keys'), encoding='utf-8') as stream:
            self.assertEqual(stream.read(), text)
        self.assertIn("'keys'", self.holdfast('key', 'export', '--to', 'keys', way=None, code=1))

    def test_import(self):
        self.holdfast('key', 'export', '--to', 'keys', way=None)
        shutil.rmtree(self.path('repository/keys'))
        self.holdfast('points', code=4)
        self.assertGreaterEqual(self.document('repair', '--keys', 'keys')['restored_keys'], 2)
        self.holdfast('points')
        self.assertEqual(self.document('repair', '--keys', 'keys')['restored_keys'], 0)

    def test_writers(self):
        enrolled = self.document('writer', 'add', 'web1', '--to', 'web1.credential')
        self.assertEqual((enrolled['name'], enrolled['credential']), ('web1', 'web1.credential'))
        self.assertGreater(enrolled['domain'], 0)
        # It may write, and it may not read, nor enrol others.
        self.write('file', 'content')
        self.holdfast('backup', self.path('file'), way=('--key-file', 'web1.credential'))
        self.assertEqual(len(self.listing('points')), 1)
        self.holdfast('cat', 'latest', self.path('file'), way=('--key-file', 'web1.credential'), code=5)
        self.holdfast('writer', 'add', 'web2', '--to', 'web2.credential', way=('--key-file', 'web1.credential'), code=5)
        self.assertFalse(os.path.exists(self.path('web2.credential')))
        self.assertIn('web1', self.holdfast('writer', 'list'))
        self.assertEqual(self.document('writer', 'remove', 'web1')['writer'], enrolled['writer'])
        writers = {writer['name']: writer for writer in self.listing('writer', 'list')}
        self.assertTrue(writers['web1']['removed'])
        self.assertTrue(writers['owner']['owner'])
        self.holdfast('backup', self.path('file'), way=('--key-file', 'web1.credential'), code=5)

    def test_writer_names(self):
        first = self.document('writer', 'add', 'web1', '--to', 'a')
        self.assertIn("'web1'", self.holdfast('writer', 'add', 'web1', '--to', 'b', code=1))
        self.assertFalse(os.path.exists(self.path('b')))
        self.assertIn("'a'", self.holdfast('writer', 'add', 'web2', '--to', 'a', code=1))
        self.assertIn('no writer', self.holdfast('writer', 'remove', 'nobody', code=1))
        self.assertEqual(self.document('writer', 'remove', first['writer'][:6])['name'], 'web1')


unittest.main(argv=sys.argv[:1])
