# SPDX-License-Identifier: GPL-3.0-or-later
"""What spec/api/*.toml declares, read and checked. docs/rest.md section 8 describes the files."""
import pathlib
import re
import tomllib

BASIC = {"text", "secret", "uuid", "bool", "int", "int32", "double", "time", "clock", "object"}
RIGHTS = {"nobody", "anybody"}
ACTIONS = {"view", "audit", "run", "switch", "restore", "restore-elsewhere", "rescan", "configure", "delete",
           "accounts"}
FILTERS = {"equal", "like", "least", "most", "gib", "holds", "none", "ignore"}
ERAS = ["1.1", "1.2", "1.3-rev0", ""]


class Problem(ValueError):
    """A declaration that cannot be right."""


class Type:
    """A type in short form: name, then '[]' for a list, then '*' when it is required."""

    def __init__(self, text):
        match = re.fullmatch(r"(\w+)(\[\])?(\*)?", text)
        if not match:
            raise Problem(f"'{text}' is no type")
        self.name, self.array, self.required = match[1], bool(match[2]), bool(match[3])


class Field:
    def __init__(self, name, entry):
        entry = {"type": entry} if isinstance(entry, str) else entry
        if set(entry) - {"type", "about", "min", "max"}:
            raise Problem(f"field '{name}': keys are type, about, min, max")
        self.name, self.type = name, Type(entry["type"])
        self.about, self.min, self.max = entry.get("about"), entry.get("min", 0), entry.get("max", 0)


class Schema:
    def __init__(self, name, entry):
        if set(entry) - {"about", "fields", "switch", "cases"}:
            raise Problem(f"schema '{name}': keys are about, fields, switch, cases")
        self.name, self.about = name, entry.get("about", "")
        self.fields = {key: Field(key, value) for key, value in entry.get("fields", {}).items()}
        self.switch, self.cases = entry.get("switch"), entry.get("cases", {})


class Enum:
    def __init__(self, name, entry):
        if set(entry) - {"about", "members", "stored", "old"}:
            raise Problem(f"enum '{name}': keys are about, members, stored, old")
        self.name, self.members = name, entry["members"]
        self.about = entry.get("about", "")
        stored, old = entry.get("stored", {}), entry.get("old", {})
        for key in list(stored) + [k for era in old.values() for k in era]:
            if key not in self.members:
                raise Problem(f"enum '{name}': '{key}' is no member")
        if set(old) - set(ERAS[:-1]):
            raise Problem(f"enum '{name}': old spellings go up to {', '.join(ERAS[:-1])}")
        self.stored = {member: stored.get(member, member) for member in self.members}
        self.spelled = {member: self._spellings(member, old) for member in self.members}

    @staticmethod
    def _spellings(member, old):
        """One spelling for each era: the earliest limit that is not before it counts."""
        result = []
        for era in range(len(ERAS)):
            names = [old[limit][member] for limit in ERAS[era:-1] if member in old.get(limit, {})]
            result.append(names[0] if names else member)
        return result

    def spellings(self, era):
        return list(dict.fromkeys(self.spelled[member][era] for member in self.members))


class Column:
    def __init__(self, path, sql, field):
        self.path, self.sql, self.field = path.split("."), sql, field


class View:
    def __init__(self, name, entry, spec, record=False):
        allowed = {"schema", "values"} if record else {"schema", "from", "late", "where", "key", "columns", "emit",
                                                           "emit_sql"}
        if set(entry) - allowed:
            raise Problem(f"view '{name}': keys are {', '.join(sorted(allowed))}")
        self.name, self.record, self.schema = name, record, entry["schema"]
        self.source, self.where, self.key = entry.get("from"), entry.get("where"), entry.get("key")
        self.late = " " + entry["late"] if "late" in entry else ""
        self.emit, self.emit_sql = entry.get("emit"), entry.get("emit_sql", [])
        values = entry["values"] if record else entry["columns"]
        self.columns = [Column(path, sql, spec.field_at(self.schema, path, name)) for path, sql in values.items()]
        self._check_order()

    def _check_order(self):
        """Fields of one object stand together, or it would be written twice."""
        seen, last = set(), []
        for column in self.columns:
            for depth in range(1, len(column.path)):
                prefix = tuple(column.path[:depth])
                if prefix in seen and last[:depth] != list(prefix):
                    raise Problem(f"view '{self.name}': the fields of '{'.'.join(prefix)}' must stand together")
                seen.add(prefix)
            last = column.path


class Parameter:
    def __init__(self, name, text):
        words = text.split(" ", 2)
        self.name, self.type = name, Type(words[0])
        self.filter = words[1] if len(words) > 1 else "ignore"
        self.column = words[2] if len(words) > 2 else None
        if self.filter not in FILTERS or (self.column is None) != (self.filter in ("ignore", "none")):
            raise Problem(f"parameter '{name}': '{text}' is not TYPE [FILTER COLUMN]")


class Operation:
    KEYS = {"path", "method", "id", "about", "right", "status", "list", "get", "call", "body", "body_optional", "form",
            "answer", "filters", "parameters", "orders", "descending", "scope", "parent", "also", "binary", "tag",
            "audit", "loopback", "slow"}

    def __init__(self, entry, spec, tag):
        if set(entry) - self.KEYS:
            raise Problem(f"'{entry.get('path')}': unknown keys {set(entry) - self.KEYS}")
        self.path, self.method, self.id = entry["path"], entry["method"], entry["id"]
        self.about, self.right, self.tag = entry["about"], entry["right"], entry.get("tag", tag)
        self.status = entry.get("status", 200)
        self.list, self.get, self.call = entry.get("list"), entry.get("get"), entry.get("call")
        self.body, self.form = entry.get("body"), entry.get("form", False)
        self.body_optional = entry.get("body_optional", False)
        self.scope, self.parent, self.also = entry.get("scope"), entry.get("parent"), entry.get("also", [])
        self.answer, self.binary = entry.get("answer"), entry.get("binary")
        self.orders, self.descending = spec.orders(entry.get("orders", {})), entry.get("descending", False)
        filters = spec.filters(entry.get("filters", {}))
        parameters = dict(filters, **entry.get("parameters", {}))
        self.parameters = [Parameter(name, text) for name, text in parameters.items()]
        self.audit, self.loopback = entry.get("audit"), entry.get("loopback", False)
        self.slow = entry.get("slow", False)
        if self.right not in RIGHTS | ACTIONS:
            raise Problem(f"'{self.path}': right is one of {', '.join(sorted(RIGHTS | ACTIONS))}")
        if not (self.list or self.get or self.call):
            raise Problem(f"'{self.path}': one of list, get and call says where the answer comes from")
        if self.list and not self.orders:
            raise Problem(f"'{self.path}': a list has orders")

    def names(self):
        return re.findall(r"\{(\w+)\}", self.path)


class Spec:
    """All declarations of a folder."""

    def __init__(self, folder):
        documents = []
        for path in sorted(pathlib.Path(folder).glob("*.toml")):
            with open(path, "rb") as stream:
                documents.append((path.stem, tomllib.load(stream)))
        self.sources = documents
        self.versions = next(d["versions"] for _, d in documents if "versions" in d)
        self._filters, self._orders = self._merge("filters"), self._merge("orders")
        self.enums = {name: Enum(name, entry) for name, entry in self._merge("enum").items()}
        self.schemas = {name: Schema(name, entry) for name, entry in self._merge("schema").items()}
        self._check_types()
        self.views = {name: View(name, entry, self) for name, entry in self._merge("view").items()}
        self.records = {name: View(name, entry, self, True) for name, entry in self._merge("record").items()}
        self.operations = [Operation(entry, self, document.get("tag", stem)) for stem, document in documents
                           for entry in document.get("op", [])]
        self._check_operations()

    def _merge(self, key):
        result = {}
        for stem, document in self.sources:
            for name, entry in document.get(key, {}).items():
                if name in result:
                    raise Problem(f"{stem}: {key} '{name}' is declared twice")
                result[name] = entry
        return result

    def filters(self, entry):
        return self._filters[entry] if isinstance(entry, str) else entry

    def orders(self, entry):
        return self._orders[entry] if isinstance(entry, str) else entry

    def _check_types(self):
        for schema in self.schemas.values():
            for field in schema.fields.values():
                self.kind(field.type.name)
            if schema.switch and schema.switch not in schema.fields:
                raise Problem(f"schema '{schema.name}': '{schema.switch}' is no field of it")
            for target in schema.cases.values():
                if target not in self.schemas:
                    raise Problem(f"schema '{schema.name}': no schema '{target}'")

    def _check_operations(self):
        seen = set()
        for op in self.operations:
            for path in [op.path] + op.also:
                key = (op.method, re.sub(r"\{\w+\}", "{}", path.lower()))
                if key in seen:
                    raise Problem(f"'{op.method} {path}' is declared twice")
                seen.add(key)
            for name in (op.list, op.get, op.parent):
                if name and name not in self.views:
                    raise Problem(f"'{op.path}': no view '{name}'")
            for name in (op.body, op.answer):
                if name and name not in self.schemas:
                    raise Problem(f"'{op.path}': no schema '{name}'")
        names = [op.id for op in self.operations]
        if len(names) != len(set(names)):
            raise Problem(f"ids of operations: {sorted(n for n in names if names.count(n) > 1)} are given twice")

    def kind(self, name):
        if name in BASIC:
            return name
        if name in self.enums:
            return "enum"
        if name in self.schemas:
            return "schema"
        raise Problem(f"no type '{name}'")

    def field_at(self, schema, path, view):
        """The field that a dotted path leads to, through objects and cases."""
        head, _, rest = path.partition(".")
        candidates = [self.schemas[schema]] + [self.schemas[name] for name in self.schemas[schema].cases.values()]
        for candidate in candidates:
            field = candidate.fields.get(head)
            if field and not rest:
                return field
            if field:
                try:
                    return self.field_at(field.type.name, rest, view)
                except Problem:
                    continue
        raise Problem(f"view '{view}': schema '{schema}' has no '{path}'")
