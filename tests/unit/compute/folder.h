/* A scratch folder for one test program. */
#pragma once

#include <stdlib.h>

#include "base/file.h"

static char test_folder[] = "/tmp/amid-compute-XXXXXX";

static int make_test_folder(void **state)
{
	return mkdtemp(test_folder) ? 0 : -1;
}

static int remove_test_folder(void **state)
{
	struct error err;
	return file_remove_tree(test_folder, &err);
}
