#!/usr/bin/python3
"""fake_imds.py STATE.json: answers one metadata request on standard input and output, for test-boot.py.

QEMU's user-mode network runs it for each connection to 169.254.169.254:80. STATE.json holds "enabled" and "values",
a table from path ("meta-data/instance-id") to text, or to base64 under "binary". Listings are made from the paths.
Every request is appended to STATE.json.log as "METHOD PATH STATUS". IMDSv2 only: a GET needs the token.
"""
import base64
import json
import sys

TOKEN = "dGVzdC10b2tlbi1vZi10aGUtZmFrZQ=="
VERSIONS = ("latest", "2021-03-23", "2018-09-24", "2016-09-02", "2009-04-04")


def lookup(values, path):
	"""The bytes at PATH, or the listing if it is a folder, or None."""
	path = path.strip("/")
	if path in values:
		return values[path]
	prefix = path + "/" if path else ""
	names = set()
	for key in values:
		if key.startswith(prefix):
			head, slash, _ = key[len(prefix):].partition("/")
			names.add(head + slash)
	names -= {name.rstrip("/") for name in names if name.endswith("/")}
	return "\n".join(sorted(names)).encode() if names else None


def answer(state, method, path, headers):
	if not state["enabled"]:
		return 403, b"off"
	if method == "PUT" and path == "/latest/api/token":
		ttl = headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
		return (200, TOKEN.encode()) if ttl.isdigit() and 1 <= int(ttl) <= 21600 else (400, b"bad ttl")
	if method != "GET":
		return 405, b""
	if headers.get("x-aws-ec2-metadata-token") != TOKEN:
		return 401, b""
	version, _, rest = path.lstrip("/").partition("/")
	if not version:
		return 200, "\n".join(VERSIONS).encode()
	values = {key: text.encode() for key, text in state["values"].items()}
	values.update({key: base64.b64decode(text) for key, text in state["binary"].items()})
	body = lookup(values, rest) if version in VERSIONS else None
	return (200, body) if body is not None else (404, b"not found")


def main():
	stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
	words = stdin.readline().decode("latin-1").split()
	if len(words) != 3:
		return
	headers = {}
	for line in iter(stdin.readline, b""):
		name, colon, value = line.decode("latin-1").strip().partition(":")
		if not colon:
			break
		headers[name.lower()] = value.strip()
	with open(sys.argv[1], encoding="utf-8") as file:
		state = json.load(file)
	status, body = answer(state, words[0], words[1], headers)
	with open(sys.argv[1] + ".log", "a", encoding="utf-8") as log:
		log.write(f"{words[0]} {words[1]} {status}\n")
	head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'Not Found' if status == 404 else 'Refused'}\r\n"
	stdout.write(f"{head}Content-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
	stdout.write(body)
	stdout.flush()


if __name__ == "__main__":
	main()
