/* `amid rekey`: another root key for a data folder that no server uses. */
#pragma once

#include "svc/secret.h"

/* See secrets_change_root. Both have the same data folder. Fails with ERROR_CONFLICT if a server uses the folder, ERROR_NOT_FOUND if there is no data in it. */
int rekey_data(const struct secrets_config *from, const struct secrets_config *to, struct error *err);
