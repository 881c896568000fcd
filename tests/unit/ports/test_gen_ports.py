#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of spec/gen-ports.py: each mistake in the data is refused, with file, line and column.

    test_gen_ports.py GENERATOR FOLDER-OF-THE-DATA"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

DATA = pathlib.Path(sys.argv.pop())
GENERATOR = pathlib.Path(sys.argv.pop()).resolve()
sys.path.insert(0, str(GENERATOR.parent))
import ports_check  # noqa: E402 (it stands beside the generator)


def generate(folder, *more):
    return subprocess.run([sys.executable, '-B', GENERATOR, 'source' if more else 'check', folder, *more],
                          capture_output=True, text=True, check=False)


class GeneratorTest(unittest.TestCase):
    def setUp(self):
        self.holder = tempfile.TemporaryDirectory()
        self.addCleanup(self.holder.cleanup)
        self.folder = pathlib.Path(self.holder.name, 'ports')
        shutil.copytree(DATA, self.folder)

    def lines(self, name):
        path = self.folder / (name + '.tsv')
        return path, path.read_text(encoding='utf-8').split('\n')

    def change(self, name, key, column, value):
        """Sets a cell of the line that begins with `key`; gives its line and column."""
        path, lines = self.lines(name)
        top = next(place for place, line in enumerate(lines) if not line.startswith('#'))
        at = lines[top].split('\t').index(column)
        place = next(place for place, line in enumerate(lines) if (line + '\t').startswith(key + '\t'))
        cells = lines[place].split('\t')
        cells[at] = value
        lines[place] = '\t'.join(cells)
        path.write_text('\n'.join(lines), encoding='utf-8')
        return place + 1, at + 1

    def refuses(self, name, key, column, value, message):
        """The changed cell is refused, with its place and `message`."""
        shutil.rmtree(self.folder)
        shutil.copytree(DATA, self.folder)
        line, at = self.change(name, key, column, value)
        told = '\n'.join(ports_check.Catalogue(str(self.folder)).findings.texts)
        self.assertIn(f"{name}.tsv:{line}:{at}: column '{column}': {message}", told)

    def test_data_is_taken(self):
        output = self.folder / 'out.c'
        done = generate(self.folder, str(output))
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertIn('hf_port_n_rows = 449;', output.read_text(encoding='utf-8'))

    def test_mistakes_are_told(self):
        line, _ = self.change('roles', 'console', 'kind', 'thing')
        done = generate(self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, f"^[^ ]*/ports/roles.tsv:{line}:3: column 'kind': 'thing' is none of: holdfast,")
        self.assertIn('gen-ports: 1 mistakes in', done.stderr)
        self.assertEqual(subprocess.run([sys.executable, '-B', GENERATOR], check=False, capture_output=True).returncode, 1)

    def test_cells(self):
        for value, message in (('', "it is empty; write '-'"), (' a', 'it has spaces'), ('a  b', 'it has spaces'),
                               ('a\u00a0b', 'it has the character U+00A0'), ('a\u0007', 'it has the character')):
            self.refuses('marks', 'restated', 'title', value, message)

    def test_tables_that_are_none(self):
        def breaks(name, edit, message):
            shutil.rmtree(self.folder)
            shutil.copytree(DATA, self.folder)
            path = self.folder / (name + '.tsv')
            path.write_bytes(edit(path.read_bytes()))
            done = generate(self.folder)
            self.assertEqual(done.returncode, 1)
            self.assertIn(message, done.stderr)

        breaks('roles', lambda text: text[:-1], 'roles.tsv: no line break at the end')
        breaks('roles', lambda text: text.replace(b'Console', b'Consol\xe9', 1), 'not UTF-8')
        breaks('roles', lambda text: text.replace(b'external', b'outside', 1), 'the columns are not: id title kind')
        breaks('rows', lambda text: text.replace(b'TCP\t443', b'TCP\t\t443', 1), ': 26 cells where there are 25')
        breaks('rows', lambda text: text.replace(b'TCP\t443', b'TCP 443', 1), ': 24 cells where there are 25')
        (self.folder / 'marks.tsv').unlink()
        self.assertIn('marks.tsv', generate(self.folder).stderr)

    def test_printed_and_parsed_ports(self):
        row = 'main\tBackup Server\t2\t6'
        for value in ('445,135,137,138', '445,135,137', '445,135,137,139,140', '445,135,137-139', '135,445,137,139'):
            self.refuses('rows', row, 'ports', value, 'they are not what is printed')
        for value in ('445,135,137,', '445,135,137,x', '445,135,137,70000', '445,135,137,0139', '1-1', '445{', '9-2',
                      '445|135>137,139', '445,135,137,139!', '445,135,137,139{}', '445,135,137,139{to.smb1}'):
            self.refuses('rows', row, 'ports', value, '')
        self.refuses('rows', row, 'ports', '445,135,137,138', "they are not what is printed: '445, 135, 137, 139'")
        self.change('rows', row, 'port', 'all of them')
        self.assertIn("'all of them' is nothing that the pages write for a port", generate(self.folder).stderr)
        self.refuses('rows', row, 'mode', 'any', "the ports say 'all'")
        self.refuses('rows', 'explorer\tPorts\t1\t8', 'ports', '6162,2500-3300', "an 'or' is printed")
        self.refuses('rows', 'main\tBackup Repositories\t9\t2', 'ports', '$nfs_port', 'they are not what is printed')

    def test_cells_of_rows(self):
        row = 'main\tBackup Server\t2\t6'
        for column, value, message in (
                ('row', '7', 'it should be 6'), ('table', '71', "there is no table 71 of page 'main'"),
                ('section', 'Backup Proxy', "table m2 stands in 'Backup Server'"),
                ('line', '9', 'it is not after line'), ('line', 'x', "'x' is not a number"),
                ('to', 'A \\* server', 'an escape of the markdown'),
                ('protocol', 'SCTP', 'it is nothing that the pages write'),
                ('transport', 'udp', "'TCP' stands for 'tcp'"), ('from-roles', 'server', "'server' is not in roles.tsv"),
                ('from-roles', 'scvmm', "none of the names of 'scvmm' stands in"),
                ('from-roles', 'backup-server,backup-server', 'there must be one or more'),
                ('from-roles', 'backup-server{', "'backup-server{' has braces"), ('from-roles', '-', 'there must be'),
                ('application', 'smb,msrpc', 'there are 2 for 4 ports'),
                ('application', 'smtp4', "'smtp4' is not in applications.tsv"),
                ('service', 'installer', "'installer' has another port, by m2.7#1"),
                ('service', 'ssh', "'ssh' is not a service of Holdfast"), ('need', 'perhaps', "'perhaps' is none of"),
                ('need', 'required', "'required' is for rows without a condition"),
                ('when', 'to.smb1', "'to.smb1' is not condition=value"),
                ('when', 'to.smb2=yes', "'smb2' is not in conditions.tsv"),
                ('when', 'smb1=yes', "'smb1' is about the host; say whose"),
                ('when', 'to.cdp=yes', "'cdp' is about the fleet"),
                ('when', 'to.smb1=maybe', "'smb1' has no value 'maybe'"), ('pair', 'all', "'all' is none of"),
                ('custom', '1', "'1' is none of"), ('marks', 'wrong', "'wrong' is not in marks.tsv"),
                ('marks', 'range-hyphen', "'range-hyphen' does not hold here"),
                ('marks', 'repeated', "'repeated' does not hold here"), ('rules', 'R12,R2', 'they are not in order'),
                ('rules', 'R99', "'R99' is not in rules.tsv"), ('endpoints', 'a.example', 'printed are: none'),
                ('endpoints', '*.<a>.b', "'*.<a>.b' is no host name"), ('purpose', 'Ends.', 'it begins with a capital'),
                ('purpose', 'lower', 'it begins with a capital')):
            self.refuses('rows', row, column, value, message)
        self.refuses('rows', 'main\tBackup Server\t2\t31', 'marks', 'order-unusual', "'order-unusual' does not")
        self.refuses('rows', 'main\tBackup Server\t2\t32', 'marks', '-', "'not-transport' is missing")
        self.refuses('rows', 'main\tRecovery Components\t57\t1', 'marks', '-', "'repeated' is missing")
        self.refuses('rows', 'main\tBackup Server\t2\t22', 'endpoints', '-', 'printed are: gmail.googleapis.com')

    def test_order_of_rows(self):
        path, lines = self.lines('rows')
        lines[12], lines[13] = lines[13], lines[12]
        path.write_text('\n'.join(lines), encoding='utf-8')
        self.assertIn("column 'row': it should be", generate(self.folder).stderr)
        lines[12], lines[13] = lines[13], lines[12]
        path.write_text('\n'.join(lines[:12] + lines[13:]), encoding='utf-8')
        self.assertIn("column 'rows': rows.tsv has 14", generate(self.folder).stderr)
        path.write_text('\n'.join(lines[:3] + lines[11:20] + lines[3:11] + lines[20:]), encoding='utf-8')
        self.assertIn("it stands after a table that follows it", generate(self.folder).stderr)

    def test_small_tables(self):
        for name, key, column, value, message in (
                ('roles', 'console', 'kind', 'thing', "'thing' is none of"),
                ('roles', 'console', 'id', 'Console', "'Console' is not written as an id"),
                ('roles', 'console', 'id', 'backup-server', "'backup-server' stands in line"),
                ('roles', 'console', 'external', 'maybe', "'maybe' is none of"),
                ('roles', 'console', 'is', 'chair', "'chair' is not in roles.tsv"),
                ('roles', 'console', 'assumed', 'yes', 'there is no wider role'),
                ('roles', 'guest', 'is', 'mssql-guest', "'guest' is itself by way of"),
                ('roles', 'console', 'names', 'A;a', 'a name stands there twice'),
                ('conditions', 'os', 'scope', 'world', "'world' is none of"),
                ('conditions', 'os', 'values', 'linux', 'there must be two or more'),
                ('conditions', 'os', 'default', 'plan9', "'plan9' is none of"),
                ('conditions', 'cdp', 'implied', 'yes@cdp-proxy', 'it must be VALUE:ROLE'),
                ('conditions', 'cdp', 'implied', 'on:cdp-proxy', 'it must be VALUE:ROLE'),
                ('conditions', 'cdp', 'implied', 'yes:proxy', "'proxy' is not in roles.tsv"),
                ('services', 'ssh', 'source', 'm5.4', 'there is no such port'),
                ('services', 'ssh', 'source', 'm5.4#2', 'there is no such port'),
                ('services', 'ssh', 'source', 'm9.2#1', 'that port has no number'),
                ('services', 'ssh', 'kind', 'our', "'our' is none of"),
                ('services', 'ssh', 'fallback', 'rsh', "'rsh' is not in services.tsv"),
                ('services', 'ssh', 'fallback', 'transport', 'the service to fall back on has one itself'),
                ('rules', 'R1', 'id', 'r1', "'r1' is not written as an id"),
                ('marks', 'restated', 'id', 'again', "nothing uses 'again'"),
                ('tables', 'main\t5', 'table', '6', 'it does not follow on table 4'),
                ('tables', 'main\t5', 'section', 'explorer', 'that is a section of another page'),
                ('tables', 'main\t5', 'page', 'other', "'other' is none of"),
                ('tables', 'main\t5', 'rules', 'R77', "'R77' is not in rules.tsv"),
                ('tables', 'main\t5', 'when', 'x', "'x' is not condition=value"),
                ('sections', 'main\ttape-server', 'page', 'other', "'other' is none of")):
            self.refuses(name, key, column, value, message)


unittest.main()
