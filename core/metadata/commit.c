#include "core/metadata/commit.h"

#include <errno.h>
#include <inttypes.h>

/* Plans the first @nr frozen array blocks. */
static int plan(struct transaction *transaction, const struct region_map *map, uint64_t nr)
{
	uint32_t array = region_map_frozen_next(map, 0);
	int r = 0;

	for (uint64_t i = 0; i < nr && r == 0; i++) {
		r = transaction_shadow_array(transaction, array);
		array = region_map_frozen_next(map, array + 1);
	}
	return r < 0 ? r : transaction_shadow_index(transaction);
}

/*
 * Plans as many frozen array blocks as fit, within a factor of two; *@ret_nr: how many. Planning is
 * cheap beside writing, so it is tried rather than computed.
 */
static int plan_what_fits(struct transaction *transaction, struct disk_state *state,
                          const struct region_map *map, uint64_t *ret_nr)
{
	uint64_t nr = region_map_frozen_nr_arrays(map);
	int r;

	for (;; nr /= 2) {
		transaction_begin(transaction, state);
		r = plan(transaction, map, nr);
		if (r == 0)
			break;
		transaction_drop(transaction);
		if (r != -ENOSPC || nr == 1)
			return r;
	}
	*ret_nr = nr;
	return 0;
}

static int commit_some(struct disk_state *state, struct region_map *map, uint64_t *nr_committed,
                       struct cf_error *err)
{
	struct cf_error why = {0};
	struct damage_error damage = damage_to_error(&why);
	struct transaction transaction;
	uint64_t nr = 0, nr_new = 0;
	int r;

	r = plan_what_fits(&transaction, state, map, &nr);
	if (r == -ENOSPC)
		return cf_error_set(err, r,
		                    "the metadata device is full: %" PRIu64 " of %" PRIu64
		                    " blocks are free, too few to change one array block",
		                    state->space.nr_available, state->space.nr_blocks);
	if (r < 0)
		return cf_error_errno(err, r, "the metadata cannot be committed");
	r = transaction_write(&transaction, map, &damage.sink, &nr_new);
	if (r < 0) {
		transaction_drop(&transaction);
		return why.code ? cf_error_set(err, r, "%s", why.text)
		                : cf_error_errno(err, r, "the metadata device cannot be written");
	}
	transaction_done(&transaction);
	*nr_committed += nr_new;
	for (uint32_t array = region_map_frozen_next(map, 0); nr > 0; nr--) {
		region_map_frozen_remove(map, array);
		array = region_map_frozen_next(map, array + 1);
	}
	return 0;
}

int commit_frozen(struct disk_state *state, struct region_map *map, uint64_t *nr_committed,
                  struct cf_error *err)
{
	int r = 0;

	if (state->unsettled) {
		r = disk_state_write_superblock(state);
		if (r < 0)
			return cf_error_errno(err, r, "the metadata device cannot be written");
		state->unsettled = false;
	}
	while (r == 0 && region_map_frozen_nr_arrays(map))
		r = commit_some(state, map, nr_committed, err);
	return r;
}
