/*
 * From the disk to file systems. A file system, or whatever else has a magic number in its first sector, may take a disk as a whole; then what looks like a table is a boot sector of it. Otherwise the table counts, and what old magic
 * numbers lie behind it does not; without a table, the disk is what it begins with.
 */
#include "gate/scan.h"

#include <stdio.h>
#include <string.h>

#include "gate/ext.h"
#include "gate/partition.h"
#include "base/banned.h"

void gate_scan_report(
	struct gate_scan *scan, unsigned partition, unsigned rule, enum gate_reason reason, const char *path)
{
	struct gate_finding finding = { .rule = rule, .reason = reason, .partition = partition };
	if (scan->stopped)
		return;
	snprintf(finding.path, sizeof finding.path, "%s", path ? path : "");
	scan->findings++;
	scan->path_bytes += strlen(finding.path);
	scan->found(scan->context, &finding);
	if (scan->findings == GATE_FINDINGS_MAX || scan->path_bytes > GATE_PATHS_MAX)
		gate_scan_stop(scan, partition, NULL);
}

void gate_scan_unreadable(
	struct gate_scan *scan, unsigned partition, enum gate_reason reason, const char *path)
{
	gate_scan_report(scan, partition, GATE_RULE_UNREADABLE, reason, path);
}

void gate_scan_stop(struct gate_scan *scan, unsigned partition, const char *path)
{
	struct gate_finding finding = {
		.rule = GATE_RULE_UNREADABLE, .reason = GATE_REASON_LIMIT, .partition = partition
	};
	if (scan->stopped)
		return;
	scan->stopped = true;
	snprintf(finding.path, sizeof finding.path, "%s", path ? path : "");
	scan->found(scan->context, &finding);
}

static void scan_partition(
	struct gate_scan *scan, const struct partition *partition, enum partition_content content)
{
	static const enum gate_reason reasons[] = {
		[CONTENT_NOTHING] = GATE_REASON_NONE,
		[CONTENT_UNKNOWN] = GATE_REASON_UNKNOWN,
		[CONTENT_EXT] = GATE_REASON_NONE,
		[CONTENT_XFS] = GATE_REASON_XFS,
		[CONTENT_BTRFS] = GATE_REASON_BTRFS,
		[CONTENT_FAT] = GATE_REASON_FAT,
		[CONTENT_NTFS] = GATE_REASON_NTFS,
		[CONTENT_LUKS] = GATE_REASON_LUKS,
		[CONTENT_LVM] = GATE_REASON_LVM,
		[CONTENT_RAID] = GATE_REASON_RAID,
		[CONTENT_SWAP] = GATE_REASON_SWAP,
		[CONTENT_SQUASHFS] = GATE_REASON_SQUASHFS,
	};
	if (content == CONTENT_EXT)
		ext_scan(scan, partition);
	else if (content != CONTENT_NOTHING)
		gate_scan_unreadable(scan, partition->number, reasons[content], NULL);
}

/* Content that has its magic number where an MBR has its loader: there can be no table beside it. */
static bool is_whole_disk(enum partition_content content)
{
	return content == CONTENT_XFS || content == CONTENT_FAT || content == CONTENT_NTFS ||
		content == CONTENT_LUKS || content == CONTENT_SQUASHFS;
}

static void scan_table(struct gate_scan *scan, const struct partition_table *table)
{
	for (unsigned i = 0; i < table->count && !scan->stopped; i++) {
		const struct partition *partition = &table->items[i];
		enum partition_content content;
		if (partition->is_loader)
			continue;
		if (partition_identify(scan->disk, partition, &content))
			gate_scan_unreadable(scan, partition->number, GATE_REASON_DAMAGED, NULL);
		else
			scan_partition(scan, partition, content);
	}
}

void gate_scan_run(struct gate_scan *scan)
{
	struct partition whole = { .size = gate_disk_size(scan->disk) };
	struct partition_table table;
	enum partition_content content;
	if (partition_identify(scan->disk, &whole, &content) || partition_table_read(scan->disk, &table)) {
		gate_scan_unreadable(scan, 0, GATE_REASON_DAMAGED, NULL);
		return;
	}
	if (is_whole_disk(content) || (!table.count && !table.damaged)) {
		scan_partition(scan, &whole, content);
		return;
	}
	if (table.damaged)
		gate_scan_unreadable(scan, 0, GATE_REASON_TABLE, NULL);
	scan_table(scan, &table);
}
