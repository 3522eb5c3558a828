/* What the policy engine has decided about a call, kept on the call for the audit trail. No state; runs on the thread of the call. */
#include <string.h>

#include "svc/authorize/internal.h"
#include "base/text.h"
#include "base/banned.h"

enum { DECISIONS_MAX = 64 }; /* of a call; a launch of many disks asks for some more than a dozen */

static const char *const decisions[] = { [POLICY_IMPLICIT_DENY] = "implicitDeny",
	[POLICY_EXPLICIT_DENY] = "explicitDeny",
	[POLICY_ALLOWED] = "allowed" };

static const char *const sources[] = { [POLICY_SOURCE_NONE] = "none",
	[POLICY_SOURCE_IDENTITY] = "identity",
	[POLICY_SOURCE_RESOURCE] = "resource",
	[POLICY_SOURCE_BOUNDARY] = "boundary",
	[POLICY_SOURCE_SESSION] = "session",
	[POLICY_SOURCE_ORGANIZATION] = "organization",
	[POLICY_SOURCE_ROOT] = "root" };

static bool is_noted(const struct call *call, const char *action, const char *resource, const char *decision)
{
	for (const struct call_decision *noted = call->decisions; noted; noted = noted->earlier)
		if (text_equal(noted->action, action) && text_equal(noted->resource, resource) &&
			strcmp(noted->decision, decision) == 0)
			return true;
	return false;
}

static void add(struct call *call, const struct call_decision *decision)
{
	struct call_decision *added = arena_memdup(call->arena, decision, sizeof *decision);
	added->earlier = call->decisions;
	call->decisions = added;
	call->decision_count++;
}

void decision_note(
	struct call *call, const struct policy_request *request, const struct policy_result *result)
{
	struct arena *arena = call->arena;
	const char *decision = decisions[result->decision];
	bool denied = result->decision != POLICY_ALLOWED; /* never left out */
	if ((call->decision_count >= DECISIONS_MAX && !denied) ||
		is_noted(call, request->action, request->resource, decision))
		return;
	add(call,
		&(struct call_decision){
			.action = arena_strdup(arena, request->action),
			.resource = arena_strdup(arena, request->resource),
			.decision = decision,
			.source = sources[result->match.source],
			.policy = arena_strdup(arena, result->match.policy),
			.sid = arena_strdup(arena, result->match.sid),
			.statement = result->match.statement,
		});
}

void decision_note_unrestricted(struct call *call, const char *source)
{
	if (!call->decisions)
		add(call, &(struct call_decision){ .decision = decisions[POLICY_ALLOWED], .source = source });
}
