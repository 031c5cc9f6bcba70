#include "daemon/image_kind.h"

#include <string.h>

struct magic {
	const char *name;
	const char *bytes;
	size_t length;
};

#define MAGIC(name, bytes)                     \
	{                                      \
		name, bytes, sizeof(bytes) - 1 \
	}

static const struct magic magics[] = {
        MAGIC("qcow2", "QFI\xfb"),
        MAGIC("VMDK", "KDMV"),
        MAGIC("VMDK", "# Disk DescriptorFile"),
        MAGIC("VHDX", "vhdxfile"),
        MAGIC("gzip", "\x1f\x8b\x08"),
        MAGIC("xz", "\xfd"
                    "7zXZ\0"),
        MAGIC("zstd", "\x28\xb5\x2f\xfd"),
};

const char *image_kind_find(const void *head, size_t length)
{
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if (magics[i].length <= length &&
		    memcmp(head, magics[i].bytes, magics[i].length) == 0)
			return magics[i].name;
	return NULL;
}
