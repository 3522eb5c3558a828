/* amid explain: why somebody may not launch an image here. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "base/banned.h"

static const char help[] =
	"Usage: amid explain launch --image AMI --as ARN [--region R] [--instance-type T] [--endpoint URL] [--json]\n\n"
	"Says whether a principal may launch an image, asked as of now and from here: each gate in order, passed, failed or not reached; the one that failed is\n"
	"the one to mend. AWS's own answer is UnauthorizedOperation or InvalidAMIID.NotFound, whatever the reason.\n\n"
	"  --as ARN   a user, a role, a session of a role, or the root of an account\n\n"
	"For the operator; for others, about principals of their own account, with the permission iam:SimulatePrincipalPolicy.\n"
	"Exit status: 0 it may, 1 it may not (or there was no answer), 2 wrong use.\n\n"
	"Example: amid explain launch --image ami-0123456789abcdef0 --as arn:aws:iam::123456789012:user/bob\n";

struct question {
	const char *endpoint, *image, *principal, *region, *instance_type;
	bool raw;
};

static void set_text(json_t *object, const char *name, const char *text)
{
	if (text)
		json_object_set_new(object, name, json_string(text));
}

static int fetch(const struct question *question, json_t **answer, struct error *err)
{
	json_t *request = json_object();
	set_text(request, "image", question->image);
	set_text(request, "principal", question->principal);
	set_text(request, "region", question->region);
	set_text(request, "instance_type", question->instance_type);
	char *body = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (!body)
		return error_set(err, ERROR_INVALID, "the question is not text");
	struct client_rest rest = { .service = "ec2",
		.method = "POST",
		.path = "/_amid/explain",
		.body = body,
		.body_size = strlen(body) };
	int result = client_ask(question->endpoint, &rest, answer, err);
	free(body);
	return result;
}

static void print_gates(json_t *answer)
{
	json_t *gate;
	size_t i;
	json_array_foreach(json_object_get(answer, "gates"), i, gate)
	{
		const char *detail = json_string_value(json_object_get(gate, "detail"));
		printf("%-24s %-12s%s%s\n", json_string_value(json_object_get(gate, "gate")),
			json_string_value(json_object_get(gate, "result")), detail ? " " : "",
			detail ? detail : "");
	}
	const char *mend = json_string_value(json_object_get(answer, "mend"));
	if (mend)
		printf("\nto mend: %s\n", mend);
	else
		printf("\nnothing keeps %s from launching %s\n",
			json_string_value(json_object_get(answer, "principal")),
			json_string_value(json_object_get(answer, "image")));
}

/* 0, or the exit status of wrong use. */
static int check(const struct question *question, int count, char **arguments)
{
	if (count != 1 || strcmp(arguments[0], "launch") != 0)
		return options_fail("explain", 2, "say what to explain: launch");
	if (!question->image || !question->principal)
		return options_fail("explain", 2, "name the image (--image) and the principal (--as)");
	return 0;
}

int command_explain(int argc, char **argv)
{
	struct question question = { 0 };
	struct error err;
	json_t *answer;
	const struct options_place places[] = {
		{ "image", .text = &question.image },
		{ "as", .text = &question.principal },
		{ "region", .text = &question.region },
		{ "instance-type", .text = &question.instance_type },
		{ "endpoint", .text = &question.endpoint },
		{ "json", .flag = &question.raw },
		{ 0 },
	};
	int status;
	if (!options_read(argc, argv, help, places, &status))
		return status;
	status = check(&question, argc - optind, argv + optind);
	if (status)
		return status;
	if (fetch(&question, &answer, &err))
		return options_fail("explain", 1, err.message);
	if (question.raw)
		client_print(answer);
	else
		print_gates(answer);
	status = json_is_true(json_object_get(answer, "allowed")) ? 0 : 1;
	json_decref(answer);
	return status;
}
