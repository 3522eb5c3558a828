/* The event loop and the relays on it, over socket pairs in place of TCP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/loop.h"
#include "net/relay.h"

struct fixture {
	struct loop *loop;
	struct relay_set *relays;
	int client, guest; /* the far ends */
};

static void start(struct fixture *fixture)
{
	struct error err;
	int client[2], guest[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, client), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, guest), 0);
	fcntl(client[1], F_SETFL, O_NONBLOCK);
	fcntl(guest[1], F_SETFL, O_NONBLOCK);
	assert_int_equal(loop_open(&fixture->loop, &err), 0);
	fixture->relays = relay_set_create(fixture->loop);
	loop_lock(fixture->loop);
	assert_int_equal(relay_start(fixture->relays, client[1], guest[1], 1, 2, &err), 0);
	loop_unlock(fixture->loop);
	fixture->client = client[0];
	fixture->guest = guest[0];
}

static void end(struct fixture *fixture)
{
	loop_lock(fixture->loop);
	relay_end_unless(fixture->relays, NULL, NULL);
	loop_unlock(fixture->loop);
	loop_close(fixture->loop);
	relay_set_destroy(fixture->relays);
	close(fixture->client);
	close(fixture->guest);
}

enum { LARGE = 8 << 20 };

static void *write_large(void *context)
{
	static const char block[65536];
	int fd = *(int *)context;
	for (size_t done = 0; done < LARGE; done += sizeof block) {
		if (write(fd, block, sizeof block) != sizeof block)
			return context;
	}
	shutdown(fd, SHUT_WR);
	return NULL;
}

static size_t read_to_end(int fd)
{
	char block[4096];
	size_t total = 0;
	for (ssize_t got; (got = read(fd, block, sizeof block)) > 0;)
		total += got;
	return total;
}

static void both_directions_pass_whole_and_ends_are_passed_on(void **state)
{
	struct fixture fixture;
	pthread_t writers[2];
	void *failed;
	start(&fixture);
	pthread_create(&writers[0], NULL, write_large, &fixture.client);
	/* The other direction is still open when the first has ended. */
	assert_int_equal(read_to_end(fixture.guest), LARGE);
	pthread_create(&writers[1], NULL, write_large, &fixture.guest);
	assert_int_equal(read_to_end(fixture.client), LARGE);
	for (int i = 0; i < 2; i++) {
		pthread_join(writers[i], &failed);
		assert_null(failed);
	}
	end(&fixture);
}

static void a_side_that_goes_away_ends_the_other(void **state)
{
	struct fixture fixture;
	char byte;
	start(&fixture);
	assert_int_equal(write(fixture.client, "x", 1), 1);
	assert_int_equal(read(fixture.guest, &byte, 1), 1);
	close(fixture.guest);
	fixture.guest = -1;
	/* Nobody reads what is written from now on: after a while the writer is told. */
	while (send(fixture.client, "xxxx", 4, MSG_NOSIGNAL) == 4)
		;
	end(&fixture);
}

static bool keep_two(void *context, uint32_t public_address, uint32_t guest_address)
{
	return guest_address == *(uint32_t *)context;
}

static void only_what_is_not_kept_is_cut(void **state)
{
	struct fixture fixture;
	uint32_t kept = 2;
	char byte;
	start(&fixture);
	loop_lock(fixture.loop);
	relay_end_unless(fixture.relays, keep_two, &kept);
	loop_unlock(fixture.loop);
	assert_int_equal(write(fixture.client, "x", 1), 1);
	assert_int_equal(read(fixture.guest, &byte, 1), 1);
	kept = 3;
	loop_lock(fixture.loop);
	relay_end_unless(fixture.relays, keep_two, &kept);
	loop_unlock(fixture.loop);
	assert_int_equal(read(fixture.guest, &byte, 1), 0);
	assert_int_equal(read(fixture.client, &byte, 1), 0);
	end(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_directions_pass_whole_and_ends_are_passed_on),
		cmocka_unit_test(a_side_that_goes_away_ends_the_other),
		cmocka_unit_test(only_what_is_not_kept_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
