/* Whose requests are signed, and for which region: from the environment and the files that every AWS client reads. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "cli/sign.h"

/*
 * AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; without them the profile AWS_PROFILE ("default") of AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials). The region: AWS_REGION, else
 * AWS_DEFAULT_REGION, else us-east-1. ERROR_NOT_FOUND says where was looked.
 */
int credentials_find(struct arena *arena, struct sign_credentials *credentials, struct error *err);
/* The same from the text of such a file; -1 with ERROR_NOT_FOUND if the profile or one of its keys is not in it. `text` is changed. */
int credentials_read_profile(
	char *text, const char *profile, struct sign_credentials *credentials, struct error *err);
