/* Keys on tokens, over a module that says what tokens in software do not: a PIN that is nearly or wholly locked is not tried, and a token that does not give back what it was given is not relied on. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <p11-kit/pkcs11.h>

#include "base/file.h"
#include "fake_token.h"
#include "svc/token_key.h"

struct token_scene {
	struct arena *arena;
	void *module;
	struct fake_token *fake;
	char pin[64];
	const char *uri;
	uint8_t secret[TOKEN_KEY_SIZE], sealed[TOKEN_KEY_SEALED_SIZE], opened[TOKEN_KEY_SIZE];
	struct error err;
};

static void write_pin(struct token_scene *s, const char *pin)
{
	if (file_replace(s->pin, pin, strlen(pin), 0600, &s->err))
		fail_msg("%s", s->err.message);
}

static int setup(void **state)
{
	struct token_scene *s = calloc(1, sizeof *s);
	const char *path = getenv("FAKE_TOKEN");
	s->arena = arena_create();
	s->module = path ? dlopen(path, RTLD_NOW) : NULL;
	if (!s->module)
		fail_msg("no module at $FAKE_TOKEN (%s)", path ? path : "");
	struct fake_token *(*find)(void) = (struct fake_token * (*)(void)) dlsym(s->module, "fake_token");
	s->fake = find();
	*s->fake = (struct fake_token){ .flags = CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED };
	snprintf(s->pin, sizeof s->pin, "/tmp/test-token-key-%d", (int)getpid());
	s->uri = arena_printf(
		s->arena, "pkcs11:token=fake;object=key?module-path=%s&pin-source=file:%s", path, s->pin);
	write_pin(s, "1234\n");
	memset(s->secret, 0x5a, sizeof s->secret);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct token_scene *s = *state;
	assert_int_equal(s->fake->open, 0); /* whatever happened, sessions and module are closed */
	dlclose(s->module);
	unlink(s->pin);
	arena_destroy(s->arena);
	free(s);
	return 0;
}

static void assert_refused(struct token_scene *s, const char *reason, int logins)
{
	s->fake->logins = 0;
	assert_int_equal(token_key_seal(s->uri, s->secret, s->sealed, &s->err), -1);
	if (!strstr(s->err.message, reason))
		fail_msg("\"%s\" does not say \"%s\"", s->err.message, reason);
	assert_int_equal(s->fake->logins, logins);
}

static void what_is_sealed_opens(void **state)
{
	struct token_scene *s = *state;
	if (token_key_seal(s->uri, s->secret, s->sealed, &s->err) ||
		token_key_open(s->uri, s->sealed, s->opened, &s->err))
		fail_msg("%s", s->err.message);
	assert_memory_equal(s->opened, s->secret, sizeof s->secret);
	assert_int_equal(s->fake->logins, 2);
	s->sealed[0] = 2;
	assert_int_equal(token_key_open(s->uri, s->sealed, s->opened, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_CORRUPT);
	assert_int_equal(s->fake->logins, 2);
}

static void every_attribute_of_the_uri_has_to_fit(void **state)
{
	struct token_scene *s = *state;
	static const char *const others[] = { "slot-id=8", "slot-description=x", "serial=x",
		"library-manufacturer=x" };
	const char *rest = strchr(s->uri, ':') + 1, *uri = s->uri;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		s->uri = arena_printf(s->arena, "pkcs11:%s;%s", others[i], rest);
		assert_refused(
			s, i < 3 ? "there is no token fake" : "is not what library-... of the URI says", 0);
	}
	s->uri = arena_printf(s->arena, "pkcs11:slot-id=7;%s", rest);
	assert_int_equal(token_key_seal(s->uri, s->secret, s->sealed, &s->err), 0);
	s->uri = arena_printf(s->arena, "%s&module-name=x", uri);
	assert_refused(s, "not taken", 0);
}

static void a_wrong_pin_is_tried_once(void **state)
{
	struct token_scene *s = *state;
	write_pin(s, "4321");
	assert_refused(s, "is not that of the token fake", 1);
	assert_null(strstr(s->err.message, "4321"));
}

static void a_pin_is_not_tried_when_the_token_would_lock(void **state)
{
	struct token_scene *s = *state;
	unsigned long flags = s->fake->flags;
	s->fake->flags = flags | CKF_USER_PIN_FINAL_TRY;
	assert_refused(s, "one more wrong PIN locks the token fake", 0);
	s->fake->flags = flags | CKF_USER_PIN_LOCKED;
	assert_refused(s, "is locked", 0);
	s->fake->flags = flags | CKF_USER_PIN_COUNT_LOW; /* somebody was wrong once: no reason to stay away */
	assert_int_equal(token_key_seal(s->uri, s->secret, s->sealed, &s->err), 0);
}

static void a_token_that_cannot_do_it_is_refused_before_its_pin_is_used(void **state)
{
	struct token_scene *s = *state;
	s->fake->decrypt_only = 1;
	assert_refused(s, "cannot encrypt with AES", 0);
}

static void a_token_that_gives_back_something_else_is_not_relied_on(void **state)
{
	struct token_scene *s = *state;
	s->fake->forgets = 1;
	assert_refused(s, "does not give back what it was given", 1);
	s->fake->forgets = 0;
	s->fake->short_by = 16;
	assert_refused(s, "its key does not encrypt", 1);
}

#define TOKEN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TOKEN_TEST(what_is_sealed_opens),
		TOKEN_TEST(every_attribute_of_the_uri_has_to_fit),
		TOKEN_TEST(a_wrong_pin_is_tried_once),
		TOKEN_TEST(a_pin_is_not_tried_when_the_token_would_lock),
		TOKEN_TEST(a_token_that_cannot_do_it_is_refused_before_its_pin_is_used),
		TOKEN_TEST(a_token_that_gives_back_something_else_is_not_relied_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
