/*
 * SEEK_DATA and SEEK_HOLE. Missing regions are data; in hydrated ones the destination's answer
 * counts. In mode ro everything is data: the destination may hold holes where data was lost.
 */
#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "core/engine/request.h"

/* The destination's answer within [offset, end), all hydrated; @end if it has none there. */
static int seek_hydrated(struct image *img, uint64_t offset, uint64_t end, int whence,
                         uint64_t *ret_offset)
{
	uint64_t found;
	int r = store_seek(&img->store, offset, whence, &found);

	if (r == -EOPNOTSUPP) {
		*ret_offset = whence == SEEK_DATA ? offset : end;
		return 0;
	}
	/* Behind the last data there is only a hole. */
	if (r == -ENXIO)
		found = whence == SEEK_DATA ? end : offset;
	else if (r < 0)
		return -EIO;
	*ret_offset = min_u64(found, end);
	return 0;
}

static int seek_data(struct image *img, uint64_t offset, uint64_t *ret_offset)
{
	while (offset < img->geo.size) {
		uint64_t region = geometry_region_of(&img->geo, offset);
		uint64_t missing = metadata_find_next_unhydrated(img->metadata, region);
		uint64_t end = missing < img->geo.nr_regions
		                       ? geometry_region_start(&img->geo, missing)
		                       : img->geo.size;
		int r;

		if (missing == region) {
			*ret_offset = offset;
			return 0;
		}
		r = seek_hydrated(img, offset, end, SEEK_DATA, ret_offset);
		if (r < 0 || *ret_offset < end)
			return r;
		offset = end;
	}
	return -ENXIO;
}

static int seek_hole(struct image *img, uint64_t offset, uint64_t *ret_offset)
{
	while (offset < img->geo.size) {
		uint64_t region = geometry_region_of(&img->geo, offset);
		uint64_t first = metadata_find_next_hydrated(img->metadata, region);
		uint64_t missing = metadata_find_next_unhydrated(img->metadata, first);
		uint64_t end = missing < img->geo.nr_regions
		                       ? geometry_region_start(&img->geo, missing)
		                       : img->geo.size;
		int r;

		if (first >= img->geo.nr_regions)
			break;
		offset = max_u64(offset, geometry_region_start(&img->geo, first));
		r = seek_hydrated(img, offset, end, SEEK_HOLE, ret_offset);
		if (r < 0 || *ret_offset < end)
			return r;
		offset = end;
	}
	/* As every file, it ends with a hole. */
	*ret_offset = img->geo.size;
	return 0;
}

int image_seek(struct image *img, uint64_t offset, int whence, uint64_t *ret_offset)
{
	enum image_mode mode = image_mode(img);

	assert(whence == SEEK_DATA || whence == SEEK_HOLE);
	if (mode == IMAGE_FAIL || image_is_stopped(img))
		return -EIO;
	if (offset >= img->geo.size)
		return -ENXIO;
	if (mode == IMAGE_RO) {
		*ret_offset = whence == SEEK_DATA ? offset : img->geo.size;
		return 0;
	}
	return whence == SEEK_DATA ? seek_data(img, offset, ret_offset)
	                           : seek_hole(img, offset, ret_offset);
}
