"""Requests to every operation there is, made of api/*.api: the least that each takes, with ids and names that a test gives.
They go over the wire as any client's do, also those that Debian's botocore does not know."""

import base64
import hashlib
import json
import pathlib
import re
import sys
import urllib.parse
import xml.etree.ElementTree

import botocore.awsrequest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))

import api_model  # noqa: E402

JSON_TYPE = "application/x-amz-json-"
FORM_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
BLOCK = bytes(512 * 1024)


class Service:
    def __init__(self, name):
        self.name = name
        self.model = api_model.Reader(ROOT / "api" / f"{name}.api").read()
        self.model.complete_operations()
        self.operations = sorted(self.model.operations)

    def members(self, operation):
        return self.model.type(self.model.operations[operation].input).members

    # ---- values ----

    def value(self, type_name, name, given):
        shape = self.model.type(type_name)
        if shape.kind == "structure":
            return {m.name: self.value(m.type_name, m.name, given) for m in shape.members if self.wanted(m, given)}
        if shape.kind == "list":
            return [self.value(shape.element, name, given)]
        if shape.kind == "map":
            return {"key": self.value(shape.element, name, given)}
        if name in given:
            return given[name]
        if shape.enum:
            return shape.enum[0]
        if shape.kind in ("integer", "long", "float", "double"):
            return int(shape.min or 1)
        if shape.kind == "boolean":
            return True
        if shape.kind == "timestamp":
            return 2000000000
        return "x" * max(int(shape.min or 1), 1)

    def wanted(self, member, given):
        """Required ones, and what the test has something for, also inside of structures and lists."""
        return member.required or self.has(member, given)

    def has(self, member, given, depth=0):
        shape = self.model.type(member.type_name)
        while shape.kind == "list":
            shape = self.model.type(shape.element)
        if shape.kind == "structure":
            return depth < 3 and any(self.has(m, given, depth + 1) for m in shape.members)
        return member.name in given

    def request(self, operation, given):
        """The members of the least request."""
        return {
            m.name: given[m.name] if self.is_given(m, given) else self.value(m.type_name, m.name, given)
            for m in self.members(operation)
            if self.wanted(m, given)
        }

    def is_given(self, member, given):
        plain = self.model.type(member.type_name).kind not in ("structure", "list", "map")
        return member.name in given and (plain or isinstance(given[member.name], list))

    # ---- over the wire ----

    def send(self, server, operation, values, key, region="us-east-1"):
        """(status, error code or None, body)"""
        made = getattr(self, "_" + self.model.protocol.replace("-", "_"))(operation, values)
        method, path, headers, body = made
        request = botocore.awsrequest.AWSRequest(method, f"{server.endpoint}{path}", data=body, headers=headers)
        status, answer = server.send(request, service=self.name, region=region, key=key)
        return status, None if status < 300 else self.code(status, answer), answer

    def code(self, status, answer):
        if answer.lstrip().startswith("<"):
            return xml.etree.ElementTree.fromstring(re.sub(r'\sxmlns="[^"]*"', "", answer)).findtext(".//Code")
        # rest-json has the code in a header
        return json.loads(answer).get("__type") or {403: "AccessDeniedException", 404: "NotFound"}.get(status, str(status))

    def _form(self, operation, values, flat):
        fields = {"Action": operation, "Version": self.model.version}

        def add(prefix, shape, value, flattened):
            if shape.kind == "structure":
                for member in shape.members:
                    if member.name in value:
                        name = member.query or (member.wire[0].upper() + member.wire[1:] if flat else member.wire)
                        place = f"{prefix}.{name}" if prefix else name
                        add(place, self.model.type(member.type_name), value[member.name], member.flattened)
            elif shape.kind == "list":
                middle = "" if flat or flattened else f".{shape.element_name or 'member'}"
                for i, item in enumerate(value, 1):
                    add(f"{prefix}{middle}.{i}", self.model.type(shape.element), item, False)
            else:
                fields[prefix] = str(value).lower() if isinstance(value, bool) else str(value)

        add("", self.model.type(self.model.operations[operation].input), values, False)
        return "POST", "/", {"Content-Type": FORM_TYPE}, urllib.parse.urlencode(fields)

    def _ec2(self, operation, values):
        return self._form(operation, values, True)

    def _query(self, operation, values):
        return self._form(operation, values, False)

    def _json(self, operation, values):
        headers = {"Content-Type": f"{JSON_TYPE}{self.model.json}", "X-Amz-Target": f"{self.model.target}.{operation}"}
        return "POST", "/", headers, json.dumps(values)

    def _rest_json(self, operation, values):
        shape = self.model.operations[operation]
        path, query, headers, body, payload = shape.uri, {}, {}, {}, None
        for member in self.members(operation):
            if member.name not in values:
                continue
            value = values[member.name]
            if member.location == "uri":
                path = path.replace("{" + member.wire + "}", urllib.parse.quote(str(value), safe=""))
            elif member.location == "querystring":
                query[member.wire] = value[0] if isinstance(value, list) else value
            elif member.location == "header":
                headers[member.wire] = str(value)
            elif member.location == "payload":
                payload = value
            else:
                body[member.wire] = value
        if query:
            path += "?" + urllib.parse.urlencode(query)
        if payload is None:
            headers["Content-Type"] = "application/json"
            payload = json.dumps(body) if shape.method != "GET" else b""
        return shape.method, path, headers, payload


def block_values():
    digest = base64.b64encode(hashlib.sha256(BLOCK).digest()).decode()
    return {"BlockData": BLOCK, "DataLength": len(BLOCK), "Checksum": digest, "ChecksumAlgorithm": "SHA256"}
