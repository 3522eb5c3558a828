/* SQLite's files on the simulated disk: a VFS over the system's own that records what changes a file, and fails when it has to. */
#pragma once

/* Makes it the default VFS of the process; once. The shared-memory file of the log stays outside: whoever opens the database first after a crash makes it anew. */
void sqlite_shim_install(void);
