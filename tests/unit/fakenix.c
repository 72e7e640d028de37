/* nix-store --dump-db and --load-db on a text in place of a database, static: vmnixdb.c runs it in an empty root. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DB "/nix/var/nix/db/"

static void copy(int from, int to)
{
	char bytes[4096];
	ssize_t n;

	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		if (write(to, bytes, (size_t)n) != n)
			_exit(3);
}

int main(int argc, char **argv)
{
	int db = open(DB "db.sqlite", O_RDONLY);
	int new;

	if (argc != 2 || db < 0)
		return 1;
	if (strcmp(argv[1], "--dump-db") == 0) {
		copy(db, STDOUT_FILENO);
		return 0;
	}
	/* As SQLite does it: all or nothing. */
	new = open(DB "new", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (strcmp(argv[1], "--load-db") != 0 || new < 0)
		return 1;
	copy(db, new);
	copy(STDIN_FILENO, new);
	return rename(DB "new", DB "db.sqlite") < 0;
}
