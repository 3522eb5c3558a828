/* ext2, ext3 and ext4 file systems, read through libext2fs: every file that a rule wants is looked at. Reads hostile bytes; one thread. */
#pragma once

#include "gate/partition.h"
#include "gate/scan.h"

/* What it finds, and what it could not look into, goes to the scan. */
void ext_scan(struct gate_scan *scan, const struct partition *partition);
