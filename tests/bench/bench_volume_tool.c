/*
 * What bench_volume.py needs of the library: bench-volume-tool create FOLDER BYTES [ROOT] | seal STORE FOLDER LAYER. Prints what it made; seal prints root, blocks, bytes added and
 * milliseconds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "store/store.h"
#include "volume/volume.h"

static int create(int argc, char **argv, struct error *err)
{
	struct digest root;
	if (argc > 4 && text_unhex(argv[4], root.bytes, sizeof root.bytes))
		return error_set(err, ERROR_INVALID, "%s is no digest", argv[4]);
	return volume_create(argv[2], strtoull(argv[3], NULL, 10), argc > 4 ? &root : NULL, err);
}

static int seal(char **argv, struct error *err)
{
	struct store *store;
	struct store_session *session;
	struct volume_seal_result result;
	struct digest root;
	char hex[2 * DIGEST_SIZE + 1];
	if (store_open(argv[2], &store, err))
		return -1;
	int failed = store_session_open(store, &session, err);
	int64_t begun = clock_monotonic_ms();
	if (!failed)
		failed = volume_seal(
			argv[3], "", strtoull(argv[4], NULL, 10), store, session, &root, &result, err);
	int64_t taken = clock_monotonic_ms() - begun;
	if (!failed)
		printf("%s %" PRIu64 " %" PRIu64 " %" PRId64 "\n",
			text_hex(root.bytes, sizeof root.bytes, hex), result.blocks, result.bytes_added,
			taken);
	store_close(store);
	return failed;
}

int main(int argc, char **argv)
{
	struct error err = { .message = "create FOLDER BYTES [ROOT] | seal STORE FOLDER LAYER" };
	int failed = -1;
	log_set_level(LOG_ERROR);
	if (argc >= 4 && !strcmp(argv[1], "create"))
		failed = create(argc, argv, &err);
	else if (argc == 5 && !strcmp(argv[1], "seal"))
		failed = seal(argv, &err);
	if (failed)
		fprintf(stderr, "%s\n", err.message);
	return failed ? 1 : 0;
}
