/* Keeps what a power loss would leave: the content of files, and the names in folders, as of their last flush.
 *
 * Preloaded into a process. FLUSH_ROOT is the folder watched, FLUSH_JOURNAL the folder written. For every inode flushed there is a
 * file named by its number and time of birth: the octets of a file, or for a folder a line "type key name" for each entry.
 * FLUSH_IGNORE drops the flushes of folders ("directories"), or of files whose path contains it, to show that a test would notice.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static const char *root, *journal;
static const char *ignored;
static int (*real_fsync)(int), (*real_fdatasync)(int);

static int key_of(int at, const char *path, int flags, char *key, size_t size, unsigned *mode)
{
    struct statx status;
    if (statx(at, path, flags, STATX_INO | STATX_BTIME | STATX_TYPE, &status) != 0)
        return -1;
    *mode = status.stx_mode;
    snprintf(key, size, "%llu.%lld.%u", (unsigned long long)status.stx_ino, (long long)status.stx_btime.tv_sec,
             status.stx_btime.tv_nsec);
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    char key[128], path[4200];
    unsigned mode;
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    root = getenv("FLUSH_ROOT");
    journal = getenv("FLUSH_JOURNAL");
    ignored = getenv("FLUSH_IGNORE") ? getenv("FLUSH_IGNORE") : "";
    if (!root || !journal || key_of(AT_FDCWD, root, 0, key, sizeof key, &mode) != 0)
        abort();
    snprintf(path, sizeof path, "%s/root", journal);
    FILE *out = fopen(path, "w");
    if (!out)
        abort();
    fputs(key, out);
    fclose(out);
}

static void copy_file(int from, FILE *out)
{
    char buffer[65536];
    off_t at = 0;
    ssize_t got;
    while ((got = pread(from, buffer, sizeof buffer, at)) > 0) {
        fwrite(buffer, 1, got, out);
        at += got;
    }
}

static void copy_names(int from, FILE *out)
{
    DIR *folder = fdopendir(dup(from));
    struct dirent *entry;
    char key[128];
    unsigned mode;
    if (!folder)
        abort();
    rewinddir(folder);
    while ((entry = readdir(folder))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (key_of(from, entry->d_name, AT_SYMLINK_NOFOLLOW, key, sizeof key, &mode) == 0)
            fprintf(out, "%c %s %s\n", S_ISDIR(mode) ? 'd' : 'f', key, entry->d_name);
    }
    closedir(folder);
}

static int watched(int descriptor, int is_folder)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    size_t prefix = strlen(root);
    if (length < 0)
        return 0;
    path[length] = 0;
    if (*ignored && (is_folder ? !strcmp(ignored, "directories") : strstr(path, ignored) != NULL))
        return 0;
    return length >= (ssize_t)prefix && !strncmp(path, root, prefix) && (length == (ssize_t)prefix || path[prefix] == '/');
}

/* What is there when the flush begins is what the flush promises; it counts when the flush has ended well. */
static int flush(int descriptor, int (*real)(int))
{
    char key[128], link[64], temporary[4200], final[4300];
    unsigned mode;
    if (key_of(descriptor, "", AT_EMPTY_PATH, key, sizeof key, &mode) != 0 || !watched(descriptor, S_ISDIR(mode)))
        return real(descriptor);
    pthread_mutex_lock(&one_at_a_time);
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    snprintf(temporary, sizeof temporary, "%s/being-written", journal);
    snprintf(final, sizeof final, "%s/%s", journal, key);
    int from = open(link, O_RDONLY);
    FILE *out = fopen(temporary, "w");
    if (from < 0 || !out)
        abort();
    if (S_ISDIR(mode))
        copy_names(from, out);
    else
        copy_file(from, out);
    if (fclose(out) != 0)
        abort();
    close(from);
    int result = real(descriptor);
    int error = errno;
    if (result == 0 && rename(temporary, final) != 0)
        abort();
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return result;
}

int fsync(int descriptor)
{
    return flush(descriptor, real_fsync);
}

int fdatasync(int descriptor)
{
    return flush(descriptor, real_fdatasync);
}
