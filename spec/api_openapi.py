# SPDX-License-Identifier: GPL-3.0-or-later
"""The declarations as an OpenAPI 3.0 document, one for each set of spellings."""
import json

BASIC = {
    "text": {"type": "string"},
    "secret": {"type": "string", "format": "password"},
    "uuid": {"type": "string", "format": "uuid"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer", "format": "int64"},
    "int32": {"type": "integer", "format": "int32"},
    "double": {"type": "number", "format": "double"},
    "time": {"type": "string", "format": "date-time"},
    "clock": {"type": "string", "format": "time"},
    "object": {"type": "object"},
}
PAGING = [
    ("skip", "int32", "How many rows to leave out."),
    ("limit", "int32", "How many rows to give at most; 0 means all that one answer holds."),
    ("orderAsc", "bool", "Smallest first when true."),
]


class Document:
    def __init__(self, spec, era):
        self.spec, self.era = spec, era

    def type(self, type_):
        kind = self.spec.kind(type_.name)
        one = dict(BASIC[kind]) if kind in BASIC else {"$ref": f"#/components/schemas/{type_.name}"}
        return {"type": "array", "items": one} if type_.array else one

    def field(self, field):
        result = self.type(field.type)
        if "$ref" in result:
            return result
        limits = ("minLength", "maxLength") if result["type"] == "string" else ("minimum", "maximum")
        if field.min or field.max:
            result[limits[0]], result[limits[1]] = field.min, field.max
        if field.about:
            result["description"] = field.about
        return result

    def object(self, fields, about):
        result = {"type": "object", "properties": {f.name: self.field(f) for f in fields}}
        required = [f.name for f in fields if f.type.required]
        if required:
            result["required"] = required
        if about:
            result["description"] = about
        return result

    def schemas(self):
        bases = {target: schema for schema in self.spec.schemas.values() for target in schema.cases.values()}
        result = {}
        for name, enum in self.spec.enums.items():
            result[name] = {"type": "string", "enum": enum.spellings(self.era)}
            if enum.about:
                result[name]["description"] = enum.about
        for name, schema in self.spec.schemas.items():
            if schema.cases:
                enum = self.spec.enums[schema.fields[schema.switch].type.name]
                refs = list(dict.fromkeys(schema.cases.values()))
                mapping = {enum.spelled[v][self.era]: f"#/components/schemas/{t}" for v, t in schema.cases.items()}
                result[name] = {"oneOf": [{"$ref": f"#/components/schemas/{t}"} for t in refs],
                                "discriminator": {"propertyName": schema.switch, "mapping": mapping}}
                if schema.about:
                    result[name]["description"] = schema.about
                continue
            base = bases.get(name)
            fields = list(base.fields.values()) if base else []
            result[name] = self.object(fields + list(schema.fields.values()), schema.about)
            if base:
                enum = self.spec.enums[base.fields[base.switch].type.name]
                values = [enum.spelled[v][self.era] for v, t in base.cases.items() if t == name]
                result[name]["properties"][base.switch] = {"type": "string", "enum": list(dict.fromkeys(values))}
        for op in self.spec.operations:
            if op.list:
                row = self.spec.views[op.list].schema
                result[self.page_name(row)] = {
                    "type": "object", "required": ["data", "pagination"], "properties": {
                        "data": {"type": "array", "items": {"$ref": f"#/components/schemas/{row}"}},
                        "pagination": {"$ref": "#/components/schemas/PaginationResult"}}}
        return result

    @staticmethod
    def page_name(row):
        return row.removesuffix("Model") + "Page"

    def parameters(self, op):
        result = [{"name": name, "in": "path", "required": True, "description": "Identifies the thing.",
                   "schema": BASIC["text" if name in ("name",) else "uuid"]} for name in op.names()]
        if op.path.startswith("/api/v1/") and not op.path.startswith("/api/v1/holdfast/"):
            result.append({"name": "x-api-version", "in": "header", "required": False, "schema": {"type": "string"},
                           "description": "Version of the interface that the caller speaks; the newest when missing."})
        if op.list:
            for name, kind, about in PAGING:
                result.append({"name": name, "in": "query", "required": False, "schema": BASIC[kind],
                               "description": about})
            result.append({"name": "orderColumn", "in": "query", "required": False, "description": "What to sort by.",
                           "schema": {"type": "string", "enum": list(op.orders)}})
        for parameter in op.parameters:
            result.append({"name": parameter.name, "in": "query", "required": parameter.type.required,
                           "schema": self.type(parameter.type)})
        return result

    def answer(self, op):
        if op.status == 204:
            return {"description": "Done."}
        if op.binary:
            return {"description": "Done.", "content": {op.binary: {"schema": {"type": "string", "format": "binary"}}}}
        if op.list:
            name = self.page_name(self.spec.views[op.list].schema)
        else:
            name = op.answer or self.spec.views[op.get].schema
        schema = {"$ref": f"#/components/schemas/{name}"}
        return {"description": "Done.", "content": {"application/json": {"schema": schema}}}

    def operation(self, op):
        error = {"$ref": "#/components/responses/Error"}
        result = {"tags": [op.tag], "operationId": op.id, "summary": op.about, "parameters": self.parameters(op),
                  "responses": {str(op.status): self.answer(op), "default": error}}
        if op.right == "nobody":
            result["security"] = []
        if op.body:
            kind = "application/x-www-form-urlencoded" if op.form else "application/json"
            result["requestBody"] = {"required": not op.body_optional, "content": {
                kind: {"schema": {"$ref": f"#/components/schemas/{op.body}"}}}}
        return result

    def build(self):
        paths = {}
        for op in self.spec.operations:
            for number, path in enumerate([op.path] + op.also):
                operation = self.operation(op)
                if number > 0:
                    operation["operationId"] += f"Old{number}"
                    operation["deprecated"] = True
                paths.setdefault(path, {})[op.method.lower()] = operation
        return {
            "openapi": "3.0.1",
            "info": {"title": "Holdfast REST interface", "version": "@VERSION@",
                     "description": "Everything that a Holdfast server can be asked and told.",
                     "license": {"name": "GPL-3.0-or-later"}},
            "security": [{"bearer": []}],
            "paths": paths,
            "components": {
                "schemas": self.schemas(),
                "responses": {"Error": {"description": "Refused or failed; the message says why.", "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}},
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            },
        }


def documents(spec, eras):
    return [json.dumps(Document(spec, era).build(), separators=(",", ":")) for era in range(eras)]
