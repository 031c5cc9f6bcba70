/*
 * Offset <-> region arithmetic. Offsets and sizes are bytes, regions are indexes; the last region
 * may be short. All functions expect offset + length <= size (callers check against the image's
 * size first) and cannot overflow then.
 */
#ifndef CLONEFS_BASE_GEOMETRY_H
#define CLONEFS_BASE_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

#define CF_SECTOR_SHIFT    9
#define CF_SECTOR_SIZE     512u
#define CF_REGION_SIZE_MIN UINT64_C(4096)
#define CF_REGION_SIZE_MAX (UINT64_C(1) << 30)
#define CF_NR_REGIONS_MAX  (UINT64_C(1) << 31)

struct geometry {
	uint64_t size;             /* of the image, bytes, > 0 */
	unsigned int region_shift; /* region size = 1 << region_shift bytes */
	uint64_t nr_regions;
};

static inline bool region_size_is_valid(uint64_t region_size)
{
	return region_size >= CF_REGION_SIZE_MIN && region_size <= CF_REGION_SIZE_MAX &&
	       (region_size & (region_size - 1)) == 0;
}

/* @size > 0; the region size must be valid. The caller checks nr_regions against its limit. */
static inline struct geometry geometry_make(uint64_t size, uint64_t region_size)
{
	unsigned int shift = (unsigned int)__builtin_ctzll(region_size);

	return (struct geometry){
	        .size = size,
	        .region_shift = shift,
	        .nr_regions = ((size - 1) >> shift) + 1,
	};
}

static inline uint64_t geometry_region_size(const struct geometry *g)
{
	return UINT64_C(1) << g->region_shift;
}

static inline uint64_t geometry_target_sectors(uint64_t size)
{
	return ((size - 1) >> CF_SECTOR_SHIFT) + 1;
}

static inline uint64_t geometry_region_of(const struct geometry *g, uint64_t offset)
{
	return offset >> g->region_shift;
}

static inline uint64_t geometry_region_start(const struct geometry *g, uint64_t region)
{
	return region << g->region_shift;
}

/* The first byte behind @region: the image's size for the last one. */
static inline uint64_t geometry_region_end(const struct geometry *g, uint64_t region)
{
	return region + 1 >= g->nr_regions ? g->size : (region + 1) << g->region_shift;
}

static inline uint64_t geometry_region_length(const struct geometry *g, uint64_t region)
{
	return geometry_region_end(g, region) - geometry_region_start(g, region);
}

/*
 * The regions that [offset, offset + length) covers entirely: *ret_first and the count returned.
 * A range that reaches the image's end covers a short last region.
 */
static inline uint64_t geometry_whole_regions(const struct geometry *g, uint64_t offset,
                                              uint64_t length, uint64_t *ret_first)
{
	uint64_t mask = geometry_region_size(g) - 1;
	uint64_t end = offset + length;
	uint64_t first = (offset >> g->region_shift) + ((offset & mask) ? 1 : 0);
	uint64_t behind = end == g->size ? g->nr_regions : end >> g->region_shift;

	*ret_first = first;
	return length && behind > first ? behind - first : 0;
}

#endif
