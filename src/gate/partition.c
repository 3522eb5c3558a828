/*
 * Partition tables and magic numbers. Numbers follow Linux: 1-4 are the MBR's own entries, logical ones count from 5, GPT's by their place. Everything is checked against the disk's size, every chain and table has a limit. Sectors
 * are 512 bytes: amid's disks have no others.
 */
#include "gate/partition.h"

#include <string.h>

#include "base/banned.h"

enum {
	SECTOR = 512,
	ENTRIES = 446, /* of the MBR: where its four entries begin */
	ENTRY_SIZE = 16,
	TYPE_EXTENDED = 0x05,
	TYPE_EXTENDED_LBA = 0x0f,
	TYPE_EXTENDED_LINUX = 0x85,
	TYPE_PREP = 0x41,
	TYPE_GPT = 0xee,
	GUID_SIZE = 16,
	HEAD_SIZE = 68 * 1024, /* what the magic numbers lie in: btrfs's is the last */
};

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static bool is_zeros(const uint8_t *data, size_t size)
{
	return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

/* In sectors; what lies beyond the end of the disk is damage, and is cut or left out. */
static void add(struct gate_disk *disk, struct partition_table *table, unsigned number, uint64_t first,
	uint64_t count, bool is_loader)
{
	uint64_t sectors = gate_disk_size(disk) / SECTOR;
	if (first >= sectors || count == 0 || table->count == PARTITION_MAX) {
		table->damaged = true;
		return;
	}
	if (count > sectors - first) {
		table->damaged = true;
		count = sectors - first;
	}
	table->items[table->count++] = (struct partition){
		.number = number, .offset = first * SECTOR, .size = count * SECTOR, .is_loader = is_loader
	};
}

static bool has_signature(const uint8_t *sector)
{
	return sector[510] == 0x55 && sector[511] == 0xaa;
}

static bool is_extended(uint8_t type)
{
	return type == TYPE_EXTENDED || type == TYPE_EXTENDED_LBA || type == TYPE_EXTENDED_LINUX;
}

/* The chain of logical partitions: each link names one, relative to itself, and the next link, relative to the whole. */
static int read_logical(struct gate_disk *disk, struct partition_table *table, uint64_t base)
{
	uint8_t sector[SECTOR];
	uint64_t link = base;
	for (unsigned number = 5; number < 5 + PARTITION_MAX; number++) {
		if (link >= gate_disk_size(disk) / SECTOR) {
			table->damaged = true;
			return 0;
		}
		if (gate_disk_read(disk, link * SECTOR, sector, sizeof sector))
			return -1;
		if (!has_signature(sector)) {
			table->damaged = true;
			return 0;
		}
		const uint8_t *own = sector + ENTRIES, *next = own + ENTRY_SIZE;
		if (own[4] && get32(own + 12))
			add(disk, table, number, link + get32(own + 8), get32(own + 12), false);
		if (!is_extended(next[4]) || get32(next + 8) == 0)
			return 0;
		link = base + get32(next + 8);
	}
	table->damaged = true;
	return 0;
}

static int read_gpt(struct gate_disk *disk, struct partition_table *table)
{
	/* of BIOS boot partitions, as it lies on the disk: GRUB's core, raw */
	static const uint8_t loader[GUID_SIZE] = { 'H', 'a', 'h', '!', 'I', 'd', 'o', 'n', 't', 'N', 'e', 'e',
		'd', 'E', 'F', 'I' };
	uint8_t header[SECTOR], entry[128];
	if (gate_disk_size(disk) < 2 * SECTOR || gate_disk_read(disk, SECTOR, header, sizeof header))
		return -1;
	uint64_t first = get64(header + 72), count = get32(header + 80), size = get32(header + 84);
	if (memcmp(header, "EFI PART", 8) != 0 || size < sizeof entry || size > 4096 || count > 1024 ||
		first > gate_disk_size(disk) / SECTOR) {
		table->damaged = true;
		return 0;
	}
	for (unsigned i = 0; i < count; i++) {
		if (first * SECTOR + i * size + sizeof entry > gate_disk_size(disk)) {
			table->damaged = true;
			return 0;
		}
		if (gate_disk_read(disk, first * SECTOR + i * size, entry, sizeof entry))
			return -1;
		if (is_zeros(entry, GUID_SIZE))
			continue;
		uint64_t from = get64(entry + 32), to = get64(entry + 40);
		add(disk, table, i + 1, from, to >= from && to < UINT64_MAX ? to - from + 1 : 0,
			memcmp(entry, loader, GUID_SIZE) == 0);
	}
	return 0;
}

int partition_table_read(struct gate_disk *disk, struct partition_table *table)
{
	uint8_t sector[SECTOR];
	*table = (struct partition_table){ 0 };
	if (gate_disk_size(disk) < SECTOR)
		return 0;
	if (gate_disk_read(disk, 0, sector, sizeof sector))
		return -1;
	if (!has_signature(sector))
		return 0;
	for (unsigned i = 0; i < 4; i++)
		if (sector[ENTRIES + i * ENTRY_SIZE + 4] == TYPE_GPT)
			return read_gpt(disk, table);
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *entry = sector + ENTRIES + i * ENTRY_SIZE;
		uint8_t type = entry[4];
		if (!type || !get32(entry + 12))
			continue;
		if (!is_extended(type))
			add(disk, table, i + 1, get32(entry + 8), get32(entry + 12), type == TYPE_PREP);
		else if (read_logical(disk, table, get32(entry + 8)))
			return -1;
	}
	return 0;
}

/* ---- magic numbers ---- */

static const struct magic {
	enum partition_content content;
	size_t offset, size;
	const char *text;
} magics[] = {
	{ CONTENT_LUKS, 0, 6, "LUKS\xba\xbe" },
	{ CONTENT_XFS, 0, 4, "XFSB" },
	{ CONTENT_SQUASHFS, 0, 4, "hsqs" },
	{ CONTENT_NTFS, 3, 8, "NTFS    " },
	{ CONTENT_FAT, 3, 8, "EXFAT   " },
	{ CONTENT_FAT, 54, 3, "FAT" },
	{ CONTENT_FAT, 82, 5, "FAT32" },
	{ CONTENT_LVM, 512, 8, "LABELONE" },
	{ CONTENT_LVM, 0, 8, "LABELONE" },
	{ CONTENT_RAID, 4096, 4, "\xfc\x4e\x2b\xa9" },
	{ CONTENT_RAID, 0, 4, "\xfc\x4e\x2b\xa9" },
	{ CONTENT_EXT, 1024 + 56, 2, "\x53\xef" },
	{ CONTENT_SWAP, 4096 - 10, 10, "SWAPSPACE2" },
	{ CONTENT_BTRFS, 65536 + 64, 8, "_BHRfS_M" },
};

int partition_identify(
	struct gate_disk *disk, const struct partition *partition, enum partition_content *content)
{
	uint8_t head[HEAD_SIZE];
	size_t size = partition->size < sizeof head ? (size_t)partition->size : sizeof head;
	if (gate_disk_read(disk, partition->offset, head, size))
		return -1;
	*content = is_zeros(head, size) ? CONTENT_NOTHING : CONTENT_UNKNOWN;
	for (size_t i = 0; i < sizeof magics / sizeof *magics && *content == CONTENT_UNKNOWN; i++)
		if (magics[i].offset + magics[i].size <= size &&
			memcmp(head + magics[i].offset, magics[i].text, magics[i].size) == 0)
			*content = magics[i].content;
	return 0;
}
