/* amid secrets: what the secret gate has found in an image or a snapshot, and what an account wants done about such. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "base/banned.h"

static const char help[] =
	"Usage: amid secrets [--scan] [--endpoint URL] [--json] SNAPSHOT|IMAGE\n"
	"       amid secrets [--policy block|warn|off] [--unreadable block|warn] [--endpoint URL] [--json]\n\n"
	"Before an image or a snapshot is shared its disks are looked through for secrets: private keys, credentials, authorized keys, histories. With an ID, lists\n"
	"what was found, with paths, never contents. Without, shows or sets the account's policy; setting it takes the account's root.\n\n"
	"  --scan               look now, if nobody has\n"
	"  --policy block       what has findings is not shared\n"
	"  --policy warn        it is; the findings are kept, and the log says so (as it is at first)\n"
	"  --policy off         nothing is looked at\n"
	"  --unreadable block   with --policy block: what could not be looked into is not shared either\n\n"
	"Exit status: 0, also with findings; 1 there was no answer; 2 wrong use.\n\n"
	"Example: amid secrets --scan ami-0123456789abcdef0\n";

struct question {
	const char *policy, *unreadable, *endpoint, *id;
	bool scans, raw;
};

static const char *text(json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value ? value : "";
}

static void print_finding(json_t *finding)
{
	json_int_t partition = json_integer_value(json_object_get(finding, "partition"));
	const char *path = text(finding, "path"), *detail = text(finding, "detail");
	printf("%-10s  %-20s  ", text(finding, "severity"), text(finding, "rule"));
	if (partition)
		printf("%" JSON_INTEGER_FORMAT ":", partition);
	printf("%s%s%s\n%34s%s\n", path, *path && *detail ? ": " : "", detail, "", text(finding, "advice"));
}

static void print_findings(json_t *answer)
{
	json_t *snapshot, *finding;
	size_t i, j;
	json_array_foreach(json_object_get(answer, "snapshots"), i, snapshot)
	{
		json_t *findings = json_object_get(snapshot, "findings");
		const char *device = text(snapshot, "device");
		printf("%s%s%s%s: ", i ? "\n" : "", text(snapshot, "snapshot"), *device ? " " : "", device);
		if (!json_is_true(json_object_get(snapshot, "scanned")))
			puts("not scanned");
		else
			printf("%zu findings in %" JSON_INTEGER_FORMAT " files\n", json_array_size(findings),
				json_integer_value(json_object_get(snapshot, "files")));
		json_array_foreach(findings, j, finding) print_finding(finding);
	}
}

static int fetch(const struct question *question, json_t **answer, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	bool sets = question->policy || question->unreadable;
	json_t *change =
		json_pack("{s:s*, s:s*}", "policy", question->policy, "unreadable", question->unreadable);
	char *body = json_dumps(change, JSON_COMPACT);
	json_decref(change);
	if (!body)
		return error_set(err, ERROR_INVALID, "the policy is not text");
	struct client_rest rest = {
		.service = "ec2", .method = sets || question->scans ? "POST" : "GET", .path = "/_amid/secrets"
	};
	if (question->id)
		rest.path = arena_printf(arena, "/_amid/secrets/%s", question->id);
	if (sets) {
		rest.body = body;
		rest.body_size = strlen(body);
	}
	int result = client_ask(question->endpoint, &rest, answer, err);
	free(body);
	return result;
}

/* 0, or the exit status of wrong use. */
static int check(struct question *question, int count, char **arguments)
{
	if (count > 1)
		return options_fail("secrets", 2, "name one snapshot or image");
	question->id = count ? arguments[0] : NULL;
	bool sets = question->policy || question->unreadable;
	if (question->id && sets)
		return options_fail("secrets", 2, "a policy is the account's, not an image's");
	if (question->scans && !question->id)
		return options_fail("secrets", 2, "name the snapshot or image to scan");
	if (question->id && question->id[strspn(question->id, "abcdefghijklmnopqrstuvwxyz0123456789-")])
		return options_fail("secrets", 2, "that is no ID of a snapshot or an image");
	return 0;
}

int command_secrets(int argc, char **argv)
{
	struct question question = { 0 };
	struct error err;
	json_t *answer;
	const struct options_place places[] = {
		{ "scan", .flag = &question.scans },
		{ "policy", .text = &question.policy },
		{ "unreadable", .text = &question.unreadable },
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
		return options_fail("secrets", 1, err.message);
	if (question.raw)
		client_print(answer);
	else if (question.id)
		print_findings(answer);
	else
		printf("policy      %s\nunreadable  %s\n", text(answer, "policy"),
			text(answer, "unreadable"));
	json_decref(answer);
	return 0;
}
