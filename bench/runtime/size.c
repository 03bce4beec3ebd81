/* SPDX-License-Identifier: MIT */
/*
 * size.c - how large the library is: its own sections, and what it adds to an empty program.
 *
 * Bytes are those that `size` of binutils tells: "text" is code, constants and unwind tables,
 * "data" what is written to, "bss" what the file does not hold; debugging information counts
 * nowhere. The shared libraries are the whole of each. The growth is that of
 * bench/empty_programs.h's program (text and data) over the one in C alone: only what the linker
 * takes from the static library. A library of headers, as Boost.Asio is, has no file of its own.
 */
#include "empty_programs.h"

struct sizes {
    double text, data, bss;
};

static struct sizes shared[EMPTY_PROGRAMS], archive, programs[EMPTY_PROGRAMS];

/* Of a file, an archive's members in sum; NaN when `size` has none. */
static struct sizes size_of(const char *path)
{
    struct sizes sizes = {NAN, NAN, NAN}, row;
    char command[PATH_MAX + 64], line[512];
    FILE *output;

    snprintf(command, sizeof command, "LC_ALL=C size -B -d -t '%s' 2> /dev/null", path);
    output = popen(command, "re");
    if (output == NULL)
        bench_die("popen");
    while (fgets(line, sizeof line, output) != NULL) /* the totals come last */
        if (sscanf(line, "%lf %lf %lf", &row.text, &row.data, &row.bss) == 3)
            sizes = row;
    return pclose(output) == 0 ? sizes : (struct sizes){NAN, NAN, NAN};
}

/* The build wrote down where they are: a key and a path on each line of peers/libraries. */
static void find_libraries(void)
{
    char path[PATH_MAX], line[PATH_MAX + 64], *end;
    FILE *list;

    for (int i = 0; i < EMPTY_PROGRAMS; i++)
        shared[i] = (struct sizes){NAN, NAN, NAN};
    archive = shared[EMPTY_BIDE];
    bench_beside("peers/libraries", path);
    list = fopen(path, "re");
    if (list == NULL)
        return;
    while (fgets(line, sizeof line, list) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        end = strchr(line, ' ');
        if (end == NULL)
            continue;
        *end = '\0';
        if (strcmp(line, "archive") == 0)
            archive = size_of(end + 1);
        for (int i = 0; i < EMPTY_PROGRAMS; i++)
            if (strcmp(line, empty_programs[i].key) == 0)
                shared[i] = size_of(end + 1);
    }
    fclose(list);
}

static void measure_programs(void)
{
    char path[PATH_MAX];

    for (int i = 0; i < EMPTY_PROGRAMS; i++) {
        bench_beside(empty_programs[i].words[0], path);
        /* Of a script there is nothing to tell. */
        programs[i] = empty_programs[i].is_missing ? (struct sizes){NAN, NAN, NAN} : size_of(path);
    }
}

/* Text and data: what a file of it holds. */
static double growth(int program)
{
    const struct sizes *with = &programs[program], *without = &programs[EMPTY_C];

    return with->text + with->data - without->text - without->data;
}

static void print_row(const char *name, const struct sizes *sizes, double program)
{
    printf("%-28s", name);
    bench_print_cell(10, 0, sizes->text);
    bench_print_cell(10, 0, sizes->data);
    bench_print_cell(10, 0, sizes->bss);
    bench_print_cell(18, 0, program);
    printf("\n");
}

static void print_table(void)
{
    static const struct sizes none = {NAN, NAN, NAN};

    printf("%-28s %10s %10s %10s %18s\n", "", "text", "data", "bss", "a program grows by");
    for (int i = 0; i < EMPTY_PROGRAMS; i++) {
        if (i != EMPTY_C && !(isnan(shared[i].text) && isnan(growth(i))))
            print_row(empty_programs[i].name, i == EMPTY_LISTEN ? &none : &shared[i], growth(i));
        if (i == EMPTY_BIDE)
            print_row("Bide, all static objects", &archive, NAN);
    }
}

static void print_sections(const char *key, const struct sizes *of)
{
    if (isnan(of->text))
        return;
    printf(",\"%s\":{\"text\":%.0f,\"data\":%.0f,\"bss\":%.0f}", key, of->text, of->data, of->bss);
}

static void print_json(void)
{
    bench_json_open("runtime/size");
    bench_json_title("Size of the library");
    empty_programs_json();
    for (int i = 0; i < EMPTY_PROGRAMS; i++) {
        double grows = i == EMPTY_C ? NAN : growth(i);
        empty_programs_json_spread(i, "shared_library", "bytes",
                                   bench_always(shared[i].text + shared[i].data));
        empty_programs_json_spread(i, "program_growth", "bytes", bench_always(grows));
    }
    for (int i = 0; i < EMPTY_PROGRAMS; i++)
        print_sections(empty_programs[i].key, &shared[i]);
    print_sections("bide_static_objects", &archive);
    bench_json_close();
}

int main(void)
{
    printf("Bytes of the shared library and of the static one's objects in sum, and by how many a\n"
           "program grows that starts the loop and ends.\n");
    servers_find(empty_programs, EMPTY_PROGRAMS);
    find_libraries();
    measure_programs();
    print_table();
    print_json();
    return 0;
}
