#include "core/metadata/array.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

uint32_t array_nr_words(uint64_t nr_words, uint64_t index)
{
	uint64_t rest = nr_words - index * ARRAY_WORDS;

	return rest < ARRAY_WORDS ? (uint32_t)rest : ARRAY_WORDS;
}

int array_check(uint64_t blocknr, const union metadata_block *block, uint32_t nr_words,
                struct damage_sink *sink)
{
	const struct array_disk *disk = &block->array;
	uint32_t nr_entries = le32toh(disk->nr_entries);

	if (le32toh(disk->max_entries) != ARRAY_WORDS) {
		damage_number(sink, -EINVAL, blocknr, "array block room", ARRAY_WORDS,
		              le32toh(disk->max_entries));
		return -EINVAL;
	}
	if (le32toh(disk->value_size) != ARRAY_VALUE_SIZE) {
		damage_number(sink, -EINVAL, blocknr, "array block value size", ARRAY_VALUE_SIZE,
		              le32toh(disk->value_size));
		return -EINVAL;
	}
	if (nr_entries != nr_words) {
		int code = nr_entries < nr_words ? -ENODATA : -EINVAL;

		damage_number(sink, code, blocknr, "array block entries", nr_words, nr_entries);
		return code;
	}
	for (uint32_t i = nr_words; i < ARRAY_WORDS && sink->thorough; i++) {
		if (!disk->words[i])
			continue;
		damage_text(sink, -EINVAL, blocknr, "bytes behind the array block's entries",
		            "zeros", "other bytes");
		break;
	}
	return 0;
}

void array_encode_zeros(union metadata_block *ret_block, uint32_t nr_words)
{
	memset(ret_block, 0, sizeof(*ret_block));
	ret_block->array.max_entries = htole32(ARRAY_WORDS);
	ret_block->array.nr_entries = htole32(nr_words);
	ret_block->array.value_size = htole32(ARRAY_VALUE_SIZE);
}
