/* Action, NotAction, Resource and NotResource: lists of patterns, and what IAM checks of them. Runs on the thread that compiles. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "policy/policy_internal.h"
#include "base/banned.h"

const char *compile_list_item(json_t *element, size_t index)
{
	return json_string_value(json_is_array(element) ? json_array_get(element, index) : element);
}

size_t compile_list_count(json_t *element)
{
	return json_is_array(element) ? json_array_size(element) : element ? 1 : 0;
}

static int check_strings(struct compiler *compiler, json_t *element, const char *name)
{
	for (size_t i = 0; i < compile_list_count(element); i++)
		if (!compile_list_item(element, i))
			return compile_refuse(compiler, SYNTAX_ERRORS,
				"%s is neither a string nor a list of strings", name);
	return 0;
}

/* "SERVICE:ACTION", wildcards in the action only, or "*". */
static int check_action(struct compiler *compiler, const char *action)
{
	const char *colon = strchr(action, ':');
	if (strcmp(action, "*") == 0)
		return 0;
	if (!colon)
		return compile_refuse(compiler,
			"Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
			"action %.64s", action);
	if (strchr(colon + 1, ':'))
		return compile_refuse(
			compiler, "Actions/Condition can contain only one colon.", "action %.64s", action);
	bool any = colon == action + 1 && *action == '*';
	for (const char *c = action; c < colon && !any; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '.')
			return compile_refuse(compiler, "Vendor is not valid", "action %.64s", action);
	if (colon == action || !colon[1])
		return compile_refuse(compiler, "Vendor is not valid", "action %.64s", action);
	if (compiler->policy->kind == POLICY_TRUST && strncasecmp(action, "sts:", 4) != 0)
		return compile_refuse(compiler, "AssumeRole policy may only specify STS AssumeRole actions.",
			"action %.64s", action);
	return 0;
}

int compile_actions(struct compiler *compiler, json_t *element, bool negated, struct pattern_list *list)
{
	size_t count = compile_list_count(element);
	if (check_strings(compiler, element, negated ? "NotAction" : "Action") < 0)
		return -1;
	if (!count)
		return compile_refuse(compiler, "Policy statement must contain actions.", "it has no Action");
	struct pattern *items = arena_alloc_array(compiler->arena, count, sizeof *items);
	for (size_t i = 0; i < count; i++) {
		const char *action = compile_list_item(element, i);
		if (check_action(compiler, action) < 0 ||
			pattern_compile(compiler, action, strlen(action), PATTERN_WILDCARDS | PATTERN_LOWER,
				&items[i]) < 0)
			return -1;
	}
	*list = (struct pattern_list){ items, (uint32_t)count, negated };
	return 0;
}

static bool is_partition(const char *text, size_t length)
{
	static const char *const known[] = { "aws", "aws-cn", "aws-us-gov", "*", "aws*" };
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strlen(known[i]) == length && memcmp(known[i], text, length) == 0)
			return true;
	return false;
}

/* Of an ARN's "SERVICE:REGION:ACCOUNT:RESOURCE": what some services do not have. */
static int check_service(struct compiler *compiler, const char *resource, const char *service)
{
	static const struct {
		const char *prefix, *sentence;
	} no_region[] = { { "iam:", "IAM resource cannot contain region information." },
		{ "s3:", "Resource can not contain region information." } };
	for (size_t i = 0; i < sizeof no_region / sizeof *no_region; i++) {
		size_t length = strlen(no_region[i].prefix);
		if (strncmp(service, no_region[i].prefix, length) == 0 && service[length] != ':' &&
			service[length] != '*')
			return compile_refuse(compiler, no_region[i].sentence, "resource %.120s", resource);
	}
	return 0;
}

static int check_resource(struct compiler *compiler, const char *resource)
{
	if (strcmp(resource, "*") == 0)
		return 0;
	const char *partition = strchr(resource, ':');
	if (!partition || strncmp(resource, "arn:", 4) != 0)
		return compile_refuse(
			compiler, "Resource must be in ARN format or \"*\".", "resource %.120s", resource);
	const char *service = strchr(++partition, ':');
	if (!is_partition(partition, service ? (size_t)(service - partition) : strlen(partition)))
		return compile_refuse(
			compiler, "Partition is not valid for resource", "resource %.120s", resource);
	if (!service || !*++service || *service == ':')
		return compile_refuse(compiler,
			"Resource vendor must be fully qualified and cannot contain regexes.",
			"resource %.120s", resource);
	unsigned colons = 0;
	for (const char *c = resource; *c; c++)
		colons += *c == ':';
	if (colons < 5 && strstr(resource, "::"))
		return compile_refuse(compiler, LEGACY_PARSING, "resource %.120s", resource);
	return check_service(compiler, resource, service);
}

int compile_resources(struct compiler *compiler, json_t *element, bool negated, struct pattern_list *list)
{
	size_t count = compile_list_count(element);
	if (check_strings(compiler, element, negated ? "NotResource" : "Resource") < 0)
		return -1;
	if (!count)
		return compile_refuse(
			compiler, "Policy statement must contain resources.", "it has no Resource");
	struct pattern *items = arena_alloc_array(compiler->arena, count, sizeof *items);
	for (size_t i = 0; i < count; i++) {
		const char *resource = compile_list_item(element, i);
		if (compiler->policy->kind != POLICY_RESOURCE && check_resource(compiler, resource) < 0)
			return -1;
		if (pattern_compile(compiler, resource, strlen(resource),
			    PATTERN_WILDCARDS | PATTERN_VARIABLES | PATTERN_ARN, &items[i]) < 0)
			return -1;
	}
	*list = (struct pattern_list){ items, (uint32_t)count, negated };
	return 0;
}
