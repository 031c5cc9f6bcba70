#include "core/control/dmsetup_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/geometry.h"

/* dm-clone gives the size of its metadata blocks in sectors. */
#define METADATA_BLOCK_SECTORS 8

char *dmsetup_line(const struct control_status *status, char buf[DMSETUP_LINE_MAX])
{
	uint64_t sectors = geometry_target_sectors(status->size);

	if (strcmp(status->mode, "fail") == 0) {
		(void)snprintf(buf, DMSETUP_LINE_MAX, "0 %" PRIu64 " clone Fail", sectors);
		return buf;
	}
	(void)snprintf(buf, DMSETUP_LINE_MAX,
	               "0 %" PRIu64 " clone %d %" PRIu64 "/%" PRIu64 " %" PRIu64 " %" PRIu64
	               "/%" PRIu64 " %" PRIu64 " %d %s%s4 hydration_threshold %" PRIu64
	               " hydration_batch_size %" PRIu64 " %s",
	               sectors, METADATA_BLOCK_SECTORS, status->metadata_blocks_used,
	               status->metadata_blocks_total, status->region_size >> CF_SECTOR_SHIFT,
	               status->regions_hydrated, status->regions_total, status->regions_hydrating,
	               status->no_hydration + status->no_discard_passdown,
	               status->no_hydration ? "no_hydration " : "",
	               status->no_discard_passdown ? "no_discard_passdown " : "",
	               status->settings.hydration_threshold, status->settings.hydration_batch_size,
	               strcmp(status->mode, "ro") == 0 ? "ro" : "rw");
	return buf;
}
