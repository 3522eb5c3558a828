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

/* IAM's sentence with the value in it. */
static int refuse_value(struct compiler *compiler, const char *before, const char *value, size_t length,
	const char *after, const char *element)
{
	char sentence[300];
	snprintf(sentence, sizeof sentence, "%s%.*s%s", before, (int)(length < 120 ? length : 120), value,
		after);
	return compile_refuse(compiler, sentence, "%s", element);
}

/* What stands before the colon: a service, or a star for all of them. */
static int check_vendor(struct compiler *compiler, const char *action, size_t length)
{
	bool valid = length > 0;
	for (size_t i = 0; i < length; i++)
		valid &= isalnum((unsigned char)action[i]) || action[i] == '-' || action[i] == '.';
	if (valid || (length == 1 && *action == '*'))
		return 0;
	return refuse_value(compiler, "Vendor ", action, length, " is not valid", "Action");
}

/* "SERVICE:ACTION", wildcards in the action only, or "*". */
static int check_action(struct compiler *compiler, const char *action)
{
	const char *colon = strchr(action, ':');
	bool trust = compiler->policy->kind == POLICY_TRUST;
	if (strcmp(action, "*") == 0 && !trust)
		return 0;
	if (trust && strncasecmp(action, "sts:", 4) != 0)
		return compile_refuse(compiler, "AssumeRole policy may only specify STS AssumeRole actions.",
			"action %.64s", action);
	if (!colon)
		return compile_refuse(compiler, PREFACED_BY_VENDOR, "action %.64s", action);
	if (strchr(colon + 1, ':'))
		return compile_refuse(
			compiler, "Actions/Condition can contain only one colon.", "action %.64s", action);
	if (!colon[1])
		return compile_refuse(compiler, SYNTAX_ERRORS, "there is no action %.64s", action);
	return check_vendor(compiler, action, (size_t)(colon - action));
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
static int check_region(struct compiler *compiler, const char *resource, const char *service)
{
	static const struct {
		const char *service, *before, *after;
	} without[] = { { "iam:", "IAM resource ", " cannot contain region information." },
		{ "s3:", "Resource ", " can not contain region information." } };
	for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
		size_t length = strlen(without[i].service);
		if (text_starts_with(service, without[i].service) && service[length] != ':' &&
			service[length] != '*')
			return refuse_value(compiler, without[i].before, resource, strlen(resource),
				without[i].after, "Resource");
	}
	return 0;
}

/* IAM's own resources: "TYPE/...", unless wildcards or variables leave that open. */
static int check_iam_path(struct compiler *compiler, const char *resource, const char *service)
{
	static const char sentence[] =
		"IAM resource path must either be \"*\" or start with user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/.";
	const char *path = text_starts_with(service, "iam:") ? strchr(service + strlen("iam:"), ':') : NULL;
	path = path ? strchr(path + 1, ':') : NULL;
	if (!path || memchr(service, '$', (size_t)(path - service)))
		return 0;
	size_t length = strcspn(++path, "/*?$");
	if (path[length] && path[length] != '/')
		return 0;
	char type[40];
	snprintf(type, sizeof type, " %.*s/", (int)(length < 32 ? length : 32), path);
	if (length && path[length] && strstr(sentence, type))
		return 0;
	return compile_refuse(compiler, sentence, "resource %.120s", resource);
}

static int check_resource(struct compiler *compiler, const char *resource)
{
	if (strcmp(resource, "*") == 0)
		return 0;
	const char *partition = strchr(resource, ':');
	if (!partition || !text_starts_with(resource, "arn:"))
		return refuse_value(compiler, "Resource ", resource, strlen(resource),
			" must be in ARN format or \"*\".", "Resource");
	const char *service = strchr(++partition, ':');
	size_t length = service ? (size_t)(service - partition) : strlen(partition);
	if (!is_partition(partition, length)) {
		char after[200];
		snprintf(after, sizeof after, "\" is not valid for resource \"%.120s\".", resource);
		return refuse_value(compiler, "Partition \"", partition, length, after, "Resource");
	}
	if (!service || !*++service || *service == ':')
		return compile_refuse(compiler,
			"Resource vendor must be fully qualified and cannot contain regexes.",
			"resource %.120s", resource);
	unsigned colons = 0;
	for (const char *c = resource; *c; c++)
		colons += *c == ':';
	if (colons < 5 && strstr(resource, "::"))
		return compile_refuse(compiler, LEGACY_PARSING, "resource %.120s", resource);
	if (check_region(compiler, resource, service) < 0)
		return -1;
	return check_iam_path(compiler, resource, service);
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
