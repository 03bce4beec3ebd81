#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bites.sh <check> <compiler>: the house check of that name accepts a clean little tree, and refuses
# it with each of these violations planted in it.

set -eu
check=$1 cc=$2
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
mit='/* SPDX-License-Identifier: MIT */'

clean() {
    rm -rf "$work/tree"
    mkdir "$work/tree"
    cd "$work/tree"
    mkdir -p src/base src/sched src/async src/sync include/bide/base include/bide/io
    printf '%s\n#include <bide/base/one.h>\n#include <bide/io/two.h>\n' "$mit" > include/bide.h
    printf '%s\n#include <bide/base/one.h>\n' "$mit" > include/bide/testing.h
    printf '%s\n' "$mit" '#define BIDE_API __attribute__((visibility("default")))' \
        '/**' ' * Count.' ' *' ' * Returns a count.' ' * Blocks: no.' ' * Cancel: none.' \
        ' * Threads: any.' ' */' 'BIDE_API int' 'bide_one(int (*fn)(void))' \
        '    __attribute__((noinline));' '' '/** Rest. Blocks: no. Cancel: none. Threads: any. */' \
        'BIDE_API void bide_rest(void);' '/* for macros */' 'BIDE_API void *bide__two(void);' \
        '/** A number. */' 'BIDE_API extern int bide_number;' > include/bide/base/one.h
    printf '%s\n#include <bide/base/one.h>\n' "$mit" > include/bide/io/two.h
    printf '%s\n' "$mit" '#include "base/list.h"' '#include "list.h"' '#include <sched.h>' \
        '#include <bide/base/one.h>' 'int bide_one(int (*fn)(void)) { return fn(); }' \
        'void bide_rest(void) {}' 'void *bide__two(void) { return 0; }' 'int bide_number = 2;' \
        > src/base/one.c
    printf '%s\n' "$mit" > src/base/list.h
    printf '%s\n#include "base/list.h"\n#include <bide/testing.h>\n' "$mit" > src/sched/park.c
}

accepts() {
    "$@" > "$work/output" 2>&1 && return
    echo "$check refuses a clean tree:"
    cat "$work/output"
    status=1
}

# refuses <substring of the complaint> <command>...
refuses() {
    text=$1
    shift
    if "$@" > "$work/output" 2>&1; then
        echo "$check does not notice: $text"
        status=1
    elif ! grep -Fq -- "$text" "$work/output"; then
        echo "$check refuses, but without saying '$text':"
        cat "$work/output"
        status=1
    fi
    clean
}

run_layers() { "$here/layers.sh" "$work/tree"; }
bite_layers() {
    accepts run_layers
    echo '#include "sched/park.h"' >> src/base/one.c
    refuses 'base includes sched' run_layers
    echo '#include <bide/io/two.h>' >> include/bide/base/one.h
    refuses 'base includes io' run_layers
    echo '  #  include "async/future.h"' > src/sync/mutex.c
    refuses 'sync includes async' run_layers
    echo '#include <bide.h>' >> src/sched/park.c
    refuses 'sched includes io' run_layers
    echo '#include "base/one.c"' >> src/sched/park.c
    refuses 'source of another layer' run_layers
    echo '#include "../base/list.h"' >> src/sched/park.c
    refuses 'path with dots' run_layers
    echo '#include "base/list.h"' >> include/bide/io/two.h
    refuses 'public header includes src/base/list.h' run_layers
    echo '#include "misc/list.h"' >> src/sched/park.c
    refuses 'belongs to no layer' run_layers
    mkdir src/misc
    echo '' > src/misc/misc.c
    refuses 'lies in no layer' run_layers
    mkdir -p modules/ring/tests
    printf '%s\n' '#include <bide.h>' '#include "ring.h"' > modules/ring/ring.c
    echo '#include "base/list.h"' > modules/ring/tests/ring.c
    accepts run_layers
    echo '#include "base/list.h"' >> modules/ring/ring.c
    refuses 'a module includes a private header' run_layers
    rm -rf modules
    rm -r src include
    mkdir src include
    refuses 'no sources' run_layers
}

run_docstrings() { "$here/docstrings.sh" "$work/tree"; }
without() { sed -i "$1" include/bide/base/one.h; }
bite_docstrings() {
    accepts run_docstrings
    echo 'BIDE_API int bide_bare(void);' >> include/bide/base/one.h
    refuses 'no docstring right above: bide_bare' run_docstrings
    printf '/** Far. */\n\n\nBIDE_API extern int bide_far;\n' >> include/bide/base/one.h
    refuses 'no docstring right above: bide_far' run_docstrings
    without 's|/\* for macros \*/||'
    refuses 'no docstring right above: bide__two' run_docstrings
    without 's|^/\*\*$|/*|'
    refuses 'not a /** docstring: bide_one' run_docstrings
    without '/Returns/d'
    refuses 'without Returns: bide_one' run_docstrings
    without 's/Blocks:/blocks/'
    refuses 'without Blocks:: bide_rest' run_docstrings
    without '/Cancel:/d'
    refuses 'without Cancel:: bide_one' run_docstrings
    without '/Threads:/d'
    refuses 'without Threads:: bide_one' run_docstrings
}

run_exports() {
    $cc -shared -fPIC -fvisibility=hidden -w -Iinclude -Isrc -o lib.so src/base/one.c &&
        "$here/exports.sh" "$work/tree" lib.so nm
}
bite_exports() {
    accepts run_exports
    echo 'BIDE_API void foreign(void) {}' >> src/base/one.c
    refuses 'not a bide_ name' run_exports
    echo 'BIDE_API void bide_secret(void) {}' >> src/base/one.c
    refuses 'not declared BIDE_API' run_exports
    echo 'BIDE_API int bide_promise(void);' >> include/bide/base/one.h
    refuses 'not exported' run_exports
}

run_style() { "$here/style.sh" "$work/tree"; }
bite_style() {
    accepts run_style
    echo '/* no licence */' > src/base/list.h
    refuses 'src/base/list.h:1: no SPDX licence line' run_style
    printf '#!/bin/sh\nexit\n' > dev
    refuses 'dev:2: no SPDX licence line' run_style
    awk 'BEGIN { for (i = 0; i < 600; i++) print "" }' >> src/base/list.h
    refuses 'over 600 lines' run_style
    awk 'BEGIN { printf "/* %0100d */\n", 0 }' >> src/base/list.h
    refuses 'over 100 columns' run_style
    echo "/* TO""DO: later */" >> src/base/list.h
    refuses 'without an issue number' run_style
    awk 'BEGIN { for (i = 0; i < 90; i++) printf "\303\244"; print "" }' >> src/base/list.h
    echo "/* FIX""ME(#12): later; XX""XXXX */" >> src/base/list.h
    accepts run_style
}

run_quotes() { "$here/quotes.sh" "$work/tree"; }
page() { printf '%s\n' '# Page' "<!-- from $1 -->" "$2" "$3" '```' '' '```' 'of its own' '```'; }
bite_quotes() {
    mkdir docs
    page src/base/one.c '```c' '#include "list.h"' > docs/page.md
    accepts run_quotes
    page src/base/one.c '```c' '#include "list' > docs/page.md
    refuses 'docs/page.md:3: is not what stands in src/base/one.c' run_quotes
    page src/base/none.c '```c' '#include "list.h"' > page.md
    refuses 'page.md:3: is not what stands in src/base/none.c' run_quotes
    page src/base/one.c 'Words.' '```c' > page.md
    refuses 'no block of code to quote src/base/one.c' run_quotes
    refuses 'no quotation found' run_quotes
}

run_needed() { "$here/needed.sh" "$work/lib.so" readelf; }
bite_needed() {
    echo 'double cbrt(double); double x(double y) { return cbrt(y); }' > "$work/lib.c"
    $cc -shared -fPIC -o "$work/lib.so" "$work/lib.c" -lm
    refuses 'needs more than libc: libm.so' run_needed
    echo 'int puts(const char *); int x(void) { return puts(""); }' > "$work/lib.c"
    $cc -shared -fPIC -o "$work/lib.so" "$work/lib.c"
    accepts run_needed
}

run_shstk() {
    rm -f "$work/lib.a"
    $cc -c -o "$work/context.S.o" "$work/context.S" &&
        ar rc "$work/lib.a" "$work/$1" && "$here/shstk.sh" "$work/lib.a" readelf
}
bite_shstk() {
    echo '.section .note.GNU-stack,"",@progbits' > "$work/context.S"
    cp "$work/context.S" "$work/other.o"
    accepts run_shstk context.S.o
    refuses 'no context.S object' run_shstk other.o
    printf '%s\n' '.section .note.gnu.property,"a"' '.balign 8' '.long 4, 16, 5' '.asciz "GNU"' \
        '.long 0xc0000002, 4, 2, 0' >> "$work/context.S"
    case $($cc -dumpmachine) in
        x86_64*) refuses 'marked SHSTK' run_shstk context.S.o ;;
    esac
}

run_compile_fail() { "$here/compile_fail.sh" "$work/wrong.c" "$cc"; }
wrong() { printf '%s\n' "/* expect: $1 */" "#ifndef FIXED" "$2" "#endif" "$3" > "$work/wrong.c"; }
bite_compile_fail() {
    wrong 'undeclared|unknown' 'int x = nowhere;' ''
    accepts run_compile_fail
    wrong 'undeclared' 'int x;' ''
    refuses 'compiled, but must not' run_compile_fail
    wrong 'incompatible' 'int x = nowhere;' ''
    refuses 'no error that matches' run_compile_fail
    wrong 'undeclared' 'int x = nowhere;' 'int y = nowhere;'
    refuses 'even with -DFIXED' run_compile_fail
    echo 'int x = nowhere;' > "$work/wrong.c"
    refuses 'no comment' run_compile_fail
}

clean
"bite_$check"
exit $status
