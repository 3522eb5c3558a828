/*
 * Looks at a file's content, one function a kind of secret. `content` may hold anything and is NUL-terminated behind `size` bytes, the beginning of the file. No state; nothing is allocated; linear in size.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A line that is neither empty nor a comment (#). */
bool contents_has_entry(const char *content, size_t size);
/* A PEM, OpenSSH, PGP, PuTTY or age private key, with a body: text about keys has none. */
bool contents_has_private_key(const char *content, size_t size);
/* aws_secret_access_key or aws_session_token with a value, and as JSON and s3cmd name them. */
bool contents_has_aws_secret(const char *content, size_t size);
/* An access key id (AKIA...) and what looks like a secret key, other than those of AWS's documentation. */
bool contents_has_aws_key_pair(const char *content, size_t size);
/* The word password and a value behind it. */
bool contents_has_password(const char *content, size_t size);
/* A URL with user and password. */
bool contents_has_url_password(const char *content, size_t size);
bool contents_has_docker_auth(const char *content, size_t size);
bool contents_has_kubernetes_secret(const char *content, size_t size);
/* Of npm, PyPI, cargo, gem, Terraform, gh. */
bool contents_has_registry_token(const char *content, size_t size);
/* Of shadow(5): an account whose password is neither locked nor absent. */
bool contents_has_password_hash(const char *content, size_t size);
/* More than blanks and comments' first line. */
bool contents_has_user_data(const char *content, size_t size);
