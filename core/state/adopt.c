#include "core/state/adopt.h"

#include <errno.h>

#include "core/base/geometry.h"
#include "core/metadata/check.h"
#include "core/metadata/metadata.h"

int adopt_look(struct block_io *io, struct adoptable *ret, struct cf_error *err)
{
	struct metadata_params params = {.mode = METADATA_EXISTING};
	struct metadata_info info;
	struct metadata *metadata;
	int r;

	r = metadata_read_superblock(io, &info, err);
	if (r < 0)
		return r;
	if (info.is_zero) {
		*ret = (struct adoptable){0};
		return 0;
	}
	params.target_sectors = info.target_sectors;
	params.region_sectors = info.region_sectors;
	r = metadata_open(io, &params, &metadata, err);
	if (r < 0)
		return r;
	*ret = (struct adoptable){
	        .formatted = true,
	        .region_size = info.region_sectors * CF_SECTOR_SIZE,
	        .target_sectors = info.target_sectors,
	        .nr_hydrated = metadata_nr_hydrated(metadata),
	};
	metadata_close(metadata);
	return 0;
}

int adopt_check(struct block_io *io, const char *path, struct cf_error *err)
{
	struct metadata_findings findings;
	const struct metadata_finding *first;
	int r;

	r = metadata_check(io, &findings, err);
	if (r < 0)
		return r;
	first = findings.list;
	if (findings.nr)
		r = cf_error_set(err, -EUCLEAN,
		                 "metadata %s is damaged, block %llu: %s: expected %s, found %s",
		                 path, (unsigned long long)first->block, first->what,
		                 first->expected, first->found);
	metadata_findings_fini(&findings);
	return r;
}
