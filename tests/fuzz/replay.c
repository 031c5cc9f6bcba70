/* Runs a target with each file of the folders given, without libFuzzer. Ends in order of failure
 * only by abort(); says how many inputs there were, and fails when there were none. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static void replay_file(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *data;

	MUST(fd >= 0);
	MUST(fstat(fd, &st) == 0);
	/* Exactly so long: reading behind it is seen. */
	data = malloc((size_t)st.st_size + (st.st_size == 0));
	MUST(data);
	MUST(read(fd, data, (size_t)st.st_size) == st.st_size);
	(void)close(fd);
	(void)LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	free(data);
}

static unsigned int replay_folder(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int nr = 0;
	struct dirent *entry;

	if (!dir) {
		(void)fprintf(stderr, "%s: no such folder\n", path);
		exit(1);
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		replay_file(dirfd(dir), entry->d_name);
		nr++;
	}
	(void)closedir(dir);
	return nr;
}

int main(int argc, char **argv)
{
	unsigned int nr = 0;

	for (int i = 1; i < argc; i++)
		nr += replay_folder(argv[i]);
	(void)printf("%u inputs\n", nr);
	return nr ? 0 : 1;
}
