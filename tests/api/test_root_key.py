"""The root key's kinds: on a PKCS#11 token (SoftHSM), and changed by `amid rekey`, also when that is killed."""

import os
import pathlib
import random
import subprocess
import time

import pytest
from conftest import BUILD, Server

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN, SO_PIN = "98765432", "12345678"
SEED = int(os.environ.get("AMID_TEST_SEED", random.randrange(1 << 31)))
KILLS = int(os.environ.get("AMID_TEST_CRASHES", "12"))


class Token:
    """A token of the test's own."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "tokens").mkdir()
        config = folder / "softhsm2.conf"
        config.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n", encoding="ascii")
        self.environment = dict(os.environ, SOFTHSM2_CONF=str(config))
        self.pin = secret_file(folder / "pin", f"{PIN}\n".encode())
        self.init("amid")
        self.make_key("root")

    def run(self, *command):
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def init(self, label):
        self.run("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", PIN)

    def tool(self, *arguments, token="amid"):
        self.run("pkcs11-tool", "--module", MODULE, "--token-label", token, "--login", "--pin", PIN, *arguments)

    def make_key(self, label, key_type="AES:32"):
        self.tool("--keygen", "--key-type", key_type, "--label", label, "--sensitive")

    def uri(self, token="amid", key="root", query=None):
        return f"pkcs11:token={token};object={key}?" + (query or f"module-path={MODULE}&pin-source=file:{self.pin}")


def secret_file(path, content):
    path.write_bytes(content)
    path.chmod(0o600)
    return path


@pytest.fixture
def token(tmp_path, monkeypatch):
    made = Token(tmp_path)
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    return made


def run(*arguments):
    return subprocess.run([BUILD / "amid", *arguments], capture_output=True, text=True, timeout=60, check=False)


def refused(data, *options, status=1):
    """What `amid serve` says when it does not start."""
    done = run("serve", "--data", data, "--listen", "127.0.0.1:0", "--compute", "dry", *options)
    assert done.returncode == status, done.stdout + done.stderr
    assert PIN not in done.stderr
    return done.stderr


def rekey(data, *options):
    done = run("rekey", "--data", data, *options)
    assert done.returncode == 0, done.stderr
    assert PIN not in done.stdout
    return done.stdout


def opens(data, *options):
    """Whether the root key opens the folder: nothing is changed, since the new one is missing."""
    done = run("rekey", "--data", data, *options, "--new-root-key", "/nonexistent/new")
    assert done.returncode == 1
    return "/nonexistent/new" in done.stderr


@pytest.fixture
def start(tmp_path):
    """start(*options): a server on the test's data folder, which has a key whose ciphertext is kept."""
    servers = []

    def begin(*options):
        servers.append(Server(tmp_path / "data", options=options))
        return servers[-1]

    yield begin
    for server in servers:
        if server.process.poll() is None:
            server.stop()
    if servers:
        servers[-1].remove()


def encrypt(server):
    kms = server.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    return kms.encrypt(KeyId=key, Plaintext=b"the marker")["CiphertextBlob"]


def decrypts(server, blob):
    return server.client("kms").decrypt(CiphertextBlob=blob)["Plaintext"] == b"the marker"


def test_a_token_holds_the_root_key(token, start):
    server = start("--root-key-pkcs11", token.uri())
    blob = encrypt(server)
    assert not (server.data / "root-key").exists()
    server.restart()
    assert decrypts(server, blob)
    server.stop()
    assert "on a token (--root-key-pkcs11)" in refused(server.data)
    assert not (server.data / "root-key").exists()
    # the token is needed: without its folder nothing opens
    (token.folder / "tokens").rename(token.folder / "away")
    (token.folder / "tokens").mkdir()
    assert "there is no token amid" in refused(server.data, "--root-key-pkcs11", token.uri())
    (token.folder / "tokens").rmdir()
    (token.folder / "away").rename(token.folder / "tokens")
    server.start()
    assert decrypts(server, blob)


def test_what_is_missing_on_a_token_is_named_and_nothing_is_changed(token, start):
    server = start("--root-key-pkcs11", token.uri())
    blob = encrypt(server)
    server.stop()
    before = (server.data / "meta.db").read_bytes()
    token.make_key("other")
    token.make_key("small", "AES:16")
    token.make_key("twice")
    token.make_key("twice")

    def says(uri):
        return refused(server.data, "--root-key-pkcs11", uri)

    assert "the token amid has no secret key none" in says(token.uri(key="none"))
    assert "pkcs11-tool --module" in says(token.uri(key="none"))
    assert "the key other of the token amid is not the root key" in says(token.uri(key="other"))
    assert "the key small of the token amid is no AES key of 256 bits" in says(token.uri(key="small"))
    assert "several secret keys twice" in says(token.uri(key="twice"))
    assert "there is no token absent" in says(token.uri(token="absent"))
    assert "cannot load the PKCS#11 module /nonexistent.so" in says(token.uri(query=f"module-path=/nonexistent.so&pin-source={token.pin}"))
    assert f"{token.pin}.none" in says(token.uri(query=f"module-path={MODULE}&pin-source={token.pin}.none"))
    empty = secret_file(token.folder / "empty", b"\n")
    assert f"the first line of {empty}" in says(token.uri(query=f"module-path={MODULE}&pin-source={empty}"))
    token.pin.chmod(0o644)
    assert "make it 0600" in says(token.uri())
    token.pin.chmod(0o600)
    wrong = secret_file(token.folder / "wrong", b"11111111")
    said = says(token.uri(query=f"module-path={MODULE}&pin-source={wrong}"))
    assert f"the PIN in {wrong} is not that of the token amid" in said and "11111111" not in said
    token.init("twins")
    token.init("twins")
    assert "there are 2 tokens twins" in says(token.uri(token="twins"))
    assert (server.data / "meta.db").read_bytes() == before
    server.start()
    assert decrypts(server, blob)


@pytest.mark.parametrize(
    "uri, reason",
    [
        (f"pkcs11:token=t;object=o?module-path={MODULE}&pin-value={PIN}", "pin-value is refused: everybody on this host can read"),
        (f"pkcs11:token=t;object=o?module-path={MODULE}", "no pin-source that is a file"),
        (f"pkcs11:token=t;object=o?module-path={MODULE}&pin-source=|cat", "no pin-source that is a file"),
        ("pkcs11:token=t;object=o?pin-source=/p", "no module-path"),
        ("pkcs11:token=t;object=o?module-path=libsofthsm2.so&pin-source=/p", "no module-path"),
        (f"pkcs11:object=o?module-path={MODULE}&pin-source=/p", "names no token"),
        (f"pkcs11:token=t?module-path={MODULE}&pin-source=/p", "names no object that is a secret key"),
        (f"pkcs11:token=t;object=o;type=private?module-path={MODULE}&pin-source=/p", "names no object that is a secret key"),
        (f"pkcs11:token=t;object=o;x=y?module-path={MODULE}&pin-source=/p", "not taken"),
        ("file:/p", "no PKCS#11 URI"),
    ],
)
def test_a_uri_that_cannot_be_used_is_wrong_use(tmp_path, uri, reason):
    data = tmp_path / "data"
    assert reason in refused(data, "--root-key-pkcs11", uri, status=2)
    assert not data.exists()
    done = run("rekey", "--data", data, "--new-root-key-pkcs11", uri)
    assert done.returncode == 2 and reason in done.stderr and PIN not in done.stderr


def test_one_root_key_at_a_time(tmp_path):
    uri = f"pkcs11:token=t;object=o?module-path={MODULE}&pin-source=/p"
    assert "one root key" in refused(tmp_path / "data", "--root-key", "/k", "--root-key-pkcs11", uri, status=2)
    assert run("rekey", "--data", tmp_path).returncode == 2
    assert run("rekey", "--data", tmp_path, "--new-root-key", "/k", "--new-root-key-passphrase-file", "/p").returncode == 2
    assert "there is no data of amid" in run("rekey", "--data", tmp_path, "--new-root-key", "/k").stderr


def test_rekey_goes_from_file_to_passphrase_to_token_and_back(token, start):
    server = start()
    data, blob = server.data, encrypt(server)
    new = secret_file(token.folder / "new", os.urandom(32))
    phrase = secret_file(token.folder / "phrase", b"correct horse battery staple\n")
    kinds = [
        ("--root-key", data / "root-key"),
        ("--root-key-passphrase-file", phrase),
        ("--root-key-pkcs11", token.uri()),
        ("--root-key", new),
    ]
    assert "a server uses" in run("rekey", "--data", data, "--new-root-key", new).stderr
    server.stop()
    for old, other in zip(kinds, kinds[1:]):
        said = rekey(data, *old, f"--new{other[0][1:]}", other[1])
        assert str(data) in said
        assert [opens(data, *each) for each in kinds] == [each == other for each in kinds]
        server.options = other
        server.start()
        assert decrypts(server, blob)
        server.stop()
        done = run("rekey", "--data", data, *other, f"--new{other[0][1:]}", other[1])
        assert done.returncode == 1 and "is the root key already" in done.stderr
    # the token still has its key, and what lay under it is gone from the record
    rekey(data, *kinds[3], "--new-root-key-pkcs11", token.uri())
    assert opens(data, *kinds[2]) and not opens(data, *kinds[3])
    server.options = kinds[2]


def test_rekey_that_cannot_be_done_changes_nothing(token, start):
    server = start()
    data, blob = server.data, encrypt(server)
    server.stop()
    before = (data / "meta.db").read_bytes()
    key, short = data / "root-key", secret_file(token.folder / "short", b"short")
    readable = secret_file(token.folder / "readable", os.urandom(32))
    readable.chmod(0o644)
    for option, value, reason in [
        ("--new-root-key", key, "is the root key already"),
        ("--new-root-key", token.folder / "none", "No such file"),
        ("--new-root-key", short, "not 32"),
        ("--new-root-key", readable, "0600"),
        ("--new-root-key-pkcs11", token.uri(key="none"), "has no secret key none"),
    ]:
        done = run("rekey", "--data", data, option, value)
        assert done.returncode == 1 and reason in done.stderr, done.stderr
    wrong = secret_file(token.folder / "wrong", os.urandom(32))
    done = run("rekey", "--data", data, "--root-key", wrong, "--new-root-key-pkcs11", token.uri())
    assert done.returncode == 1 and f"{wrong} is not the root key" in done.stderr
    assert (data / "meta.db").read_bytes() == before
    server.start()
    assert decrypts(server, blob)


def test_rekey_that_is_killed_leaves_exactly_one_root_key(start, tmp_path):
    server = start()
    data, blob = server.data, encrypt(server)
    server.stop()
    chance, keys = random.Random(SEED), [pathlib.Path(data / "root-key"), secret_file(tmp_path / "new", os.urandom(32))]
    begun = time.monotonic()
    rekey(data, "--root-key", keys[0], "--new-root-key", keys[1])
    length = time.monotonic() - begun
    keys.reverse()
    for _ in range(KILLS):
        command = [BUILD / "amid", "rekey", "--data", data, "--root-key", keys[0], "--new-root-key", keys[1]]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                process.wait(timeout=chance.uniform(0, 1.2 * length))
            except subprocess.TimeoutExpired:
                process.kill()
            said = process.stdout.read()
        found = [opens(data, "--root-key", key) for key in keys]
        assert sorted(found) == [False, True], f"AMID_TEST_SEED={SEED}"
        assert found[1] or not said, f"AMID_TEST_SEED={SEED}"
        if found[1]:
            keys.reverse()
    server.options = ("--root-key", keys[0])
    server.start()
    assert decrypts(server, blob)
