/* SSH key pairs: making them, reading the forms of public key that EC2 imports, and the fingerprints that EC2 shows. No state; safe from every thread. */
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

enum ssh_key_type { SSH_KEY_RSA, SSH_KEY_ED25519 };

/* A public key as EC2 keeps it. Texts are the arena's. */
struct ssh_public_key {
	enum ssh_key_type type;
	char *openssh;     /* "ssh-rsa AAAA...", without a comment */
	char *fingerprint; /* see the two functions */
};

/*
 * Makes a key pair (RSA of 2,048 bits). *private_pem is what the user gets: RSA as PKCS#1 PEM, Ed25519 in OpenSSH's format; it is nowhere else when this returns, and the caller wipes it with ssh_key_wipe
 * as soon as it is not needed. Fingerprint: RSA SHA-1 of the private key's PKCS#8 DER, in hexadecimal pairs; Ed25519 SHA-256 of the public key, in Base64.
 */
int ssh_key_generate(enum ssh_key_type type, struct arena *arena, struct ssh_public_key *public_key,
	char **private_pem, struct error *err);
/*
 * Reads a public key: an OpenSSH line, an RFC 4716 file, or the Base64 of a DER SubjectPublicKeyInfo. RSA of 1,024 to 16,384 bits, or Ed25519; ERROR_KEY_FORMAT otherwise.
 * Fingerprint: RSA MD5 of the DER, in hexadecimal pairs; Ed25519 SHA-256 of the public key, in Base64.
 */
int ssh_key_import(const void *material, size_t size, struct arena *arena, struct ssh_public_key *public_key,
	struct error *err);
/* Overwrites a secret text. NULL is legal. */
void ssh_key_wipe(char *text);
