/* From an ARN to whom it stands for, with nobody's credentials at hand. */
#pragma once

#include "aws/principal.h"
#include "svc/amid.h"

/* An account's root, a user, a role (as a session of it would be), a session of a role. In the arena. ERROR_INVALID_PARAMETER_VALUE: the ARN is none of these, or there is no such thing. */
int explain_find_principal(struct amid *amid, const char *arn, struct arena *arena,
	const struct principal **principal, struct error *err);
