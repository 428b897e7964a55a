/* Makes one change of each kind, so that a test can check the records of the interposer. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
    int file = open("a", O_RDWR | O_CREAT, 0600);
    int same = dup(file);
    if (write(same, "one", 3) != 3 || pwrite(file, "two", 3, 8) != 3) return 1;
    if (ftruncate(file, 9) || fsync(file)) return 1;
    close(file);
    if (mkdir("b", 0700) || rename("a", "b/c") || link("b/c", "d") || unlink("old")) return 1;
    int appended = open("d", O_WRONLY | O_APPEND), folder = open("b", O_RDONLY | O_DIRECTORY);
    if (write(appended, "!", 1) != 1 || fdatasync(folder)) return 1;
    if (open("d", O_WRONLY | O_TRUNC) < 0 || open("/dev/null", O_WRONLY) < 0) return 1;
    return write(1, "done", 4) == 4 ? 0 : 1;
}
