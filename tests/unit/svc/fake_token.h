/* How a test talks to the module fake_token.c: it loads it, too, and finds fake_token() by name. */
#pragma once

struct fake_token {
	unsigned long flags;    /* of the token: CKF_USER_PIN_LOCKED, ... */
	unsigned long short_by; /* bytes that are missing in what the cipher gives */
	unsigned char forgets;  /* bits of the first byte that decryption gets wrong */
	int decrypt_only;
	int logins; /* how often a PIN was tried */
	int open;   /* initialisations and sessions that were not ended */
};

struct fake_token *fake_token(void);
