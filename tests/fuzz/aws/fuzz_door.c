/* Any bytes as a request, through the whole door but its sockets and handlers: it gets exactly one answer, with a status and a request id. */
#include <stdlib.h>

#include "../../unit/aws/raw_request.h"
#include "api/ebs.h"
#include "api/ec2.h"
#include "api/sts.h"
#include "aws/door_internal.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int lookup(void *context, const char *access_key_id, const char *session_token, struct arena *arena,
	struct door_identity *identity, struct error *err)
{
	*identity = (struct door_identity){ .secret = "secret",
		.principal = { .type = PRINCIPAL_ROOT,
			.account = "111122223333",
			.arn = "arn:aws:iam::111122223333:root",
			.id = "111122223333" } };
	return strcmp(access_key_id, "known") == 0 && !session_token
		? 0
		: error_set(err, ERROR_NOT_FOUND, "no such key");
}

static int allow(struct call *call, const void *input, struct error *err)
{
	return 0;
}

static int refuse(struct call *call, const void *request, void *result, struct error *err)
{
	return error_set(err, ERROR_UNSUPPORTED, "%s %s", call->account, call->operation->shape->name);
}

static struct service without_handlers(const struct service *service)
{
	struct service copy = *service;
	struct operation *operations = calloc(service->operation_count, sizeof *operations);
	memcpy(operations, service->operations, service->operation_count * sizeof *operations);
	for (unsigned i = 0; i < service->operation_count; i++)
		operations[i].handler = refuse;
	copy.operations = operations;
	return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct service all[3];
	static const struct service *const services[] = { &all[0], &all[1], &all[2], NULL };
	static const char *const regions[] = { "us-east-1", "eu-west-1", NULL };
	if (!all[0].name) {
		all[0] = without_handlers(&ec2_service);
		all[1] = without_handlers(&ebs_service);
		all[2] = without_handlers(&sts_service);
		log_set_level(LOG_ERROR);
	}
	struct door door = {
		.config = { .regions = regions, .services = services, .lookup = lookup, .authorize = allow }
	};
	for (int any = 0; any < 2; any++) {
		struct http_exchange exchange = { .arena = arena_create(), .peer = "127.0.0.1" };
		door.config.auth_any = any;
		if (raw_request(exchange.arena, (const char *)data, size, &exchange.request) == 0) {
			door_serve(&door, &exchange);
			if (exchange.response.status < 100 || exchange.response.header_count == 0 ||
				(!any && exchange.response.status == 200))
				abort();
		}
		buffer_free(&exchange.response.body);
		arena_destroy(exchange.arena);
	}
	return 0;
}
